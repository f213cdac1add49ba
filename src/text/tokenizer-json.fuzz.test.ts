import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { loadTokenizer, trainBpe } from './index.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
console.log(`FUZZ_SEED=${seed}`);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

let text: string;
beforeAll(async () => {
  text = JSON.stringify(await trainBpe(['to be or not to be, that is the question; to be'], { vocabSize: 280 }));
});

/** Where to go down into a document, and what to do there. */
const damage = fc.record({
  path: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
  act: fc.oneof(
    fc.constant(() => undefined),
    fc.constant((old: Json) => (Array.isArray(old) ? [...old, ...old] : old === null ? {} : null)),
    fc.jsonValue().map((value) => () => value as Json),
  ),
});

function apply(document: Json, [turn, ...rest]: readonly number[], act: (old: Json) => Json | undefined): void {
  if (typeof document !== 'object' || document === null || turn === undefined) return;
  const fields = document as Record<string, Json>;
  const keys = Object.keys(fields);
  const key = keys[turn % keys.length];
  if (key === undefined) return;
  const below = fields[key]!;
  if (rest.length > 0 && typeof below === 'object' && below !== null && Object.keys(below).length > 0) return apply(below, rest, act);
  const value = act(below);
  if (value === undefined && !Array.isArray(document)) delete fields[key];
  else fields[key] = value ?? null;
}

test('a damaged tokenizer.json is refused with E_TOKENIZER, or still encodes to ids of its vocabulary', () => {
  let refused = 0;
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
      const document = JSON.parse(text) as Json;
      for (const { path, act } of damages) apply(document, path, act);
      try {
        const loaded = loadTokenizer(document);
        for (const id of loaded.encode('to be, or 漢?')) expect(id >= 0 && id < loaded.vocabSize).toBe(true);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).code).toBe('E_TOKENIZER');
      }
    }),
    { numRuns, seed },
  );
  expect(refused).toBeGreaterThan(numRuns / 10);
});
