import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { jsonLines, utf8 } from './text-files.ts';
import { badByte } from './utf8.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
console.log(`FUZZ_SEED=${seed}`);

/** Mostly well-formed text with a few bytes changed: plain random bytes seldom get past the first. */
const bytes = fc
  .tuple(fc.string({ unit: 'binary' }), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }))
  .map(([text, changes]) => {
    const all = new TextEncoder().encode(text);
    for (const [at, to] of changes) if (all.length > 0) all[at % all.length] = to;
    return all;
  });

test('a bad byte is found exactly where the platform finds one', () => {
  const decodes = (part: Uint8Array, stream: boolean): boolean => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(part, { stream });
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(bytes, (all) => {
      const at = badByte(all);
      expect(at === undefined).toBe(decodes(all, false));
      if (at === undefined) return;
      // All before it may begin a well-formed text, and no longer with it.
      expect(decodes(all.subarray(0, at), true)).toBe(true);
      if (at < all.length) expect(decodes(all.subarray(0, at + 1), true)).toBe(false);
    }),
    { numRuns, seed },
  );
});

const line = fc.oneof(
  fc.json(),
  fc
    .record({
      text: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
      domain: fc.option(fc.oneof(fc.string(), fc.jsonValue()), { nil: undefined }),
    })
    .map((o) => JSON.stringify(o)),
  fc.string({ unit: 'binary' }),
);
test('any lines give documents with text and domain, or a UserError that names the line', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
      try {
        for (const { text, domain } of jsonLines(utf8(new TextEncoder().encode(lines.join('\n')), 'a.jsonl'), 'a.jsonl', 'a')) {
          expect(text.trim()).not.toBe('');
          expect(domain).not.toBe('');
        }
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).problems[0]!.place).toMatch(/^a\.jsonl:\d+$/);
      }
    }),
    { numRuns, seed },
  );
});
