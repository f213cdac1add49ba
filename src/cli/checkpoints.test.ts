/** Verbs that compute with a checkpoint: generate and inspect on given ids, and parity with its exit code. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { call, engineIsBuilt } from './fake-host.ts';

const GOLDENS = new URL('../../test/goldens', import.meta.url).pathname;
const MODEL = `${GOLDENS}/torch/model-bin`;
const folder = mkdtempSync(join(tmpdir(), 'openmoe-checkpoints-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Fixture {
  readonly ids: readonly (readonly number[])[];
  readonly with_cache: { readonly tokens: readonly (readonly number[])[] };
  readonly without_cache: { readonly tokens: readonly (readonly number[])[] };
}
const { prompts } = JSON.parse(readFileSync(`${GOLDENS}/torch/generate-tiny1.json`, 'utf8')) as {
  prompts: Readonly<Record<string, Fixture>>;
};
const ids = (name: string): string[] => prompts[name]!.ids.flatMap((row) => ['--ids', row.join(',')]);
const GREEDY = ['--greedy', '--max-tokens', '24'];

describe.runIf(engineIsBuilt())('generate', () => {
  test.each(['single', 'plain', 'crowded', 'crowded2'])(
    '--ids prints the ids of the reference after %s, with and without cache',
    async (name) => {
      const kept = await call(['generate', MODEL, ...ids(name), ...GREEDY]);
      expect(kept).toMatchObject({ exit: 0, out: `${prompts[name]!.with_cache.tokens[0]!.join(',')}\n` });
      const again = await call(['generate', MODEL, ...ids(name), ...GREEDY, '--without-cache']);
      expect(again.out).toBe(`${prompts[name]!.without_cache.tokens[0]!.join(',')}\n`);
    },
  );
  test('several prompts as one routing group are those of the reference', async () => {
    const { out } = await call(['generate', MODEL, ...ids('batch'), ...GREEDY, '--routing-group', 'batch', '--json']);
    const { generations } = JSON.parse(out) as { generations: { ids: number[] }[] };
    expect(generations.map((g) => g.ids)).toEqual(prompts['batch']!.with_cache.tokens);
  });
  test('--explain-capacity shows where the two ways part', async () => {
    const { out } = await call(['generate', MODEL, ...ids('crowded'), ...GREEDY, '--explain-capacity', '--json']);
    const { capacity } = JSON.parse(out) as { capacity: { first_difference: number[]; with_cache: object[]; without_cache: object[] } };
    expect(capacity.first_difference).toEqual([3]);
    expect(capacity.with_cache[0]).toMatchObject({ group: 40, capacity: 26, dropped: 5 });
    expect(capacity.with_cache[1]).toMatchObject({ group: 1, capacity: 4, dropped: 0 });
    expect(capacity.without_cache[1]).toMatchObject({ group: 41, dropped: 4 });
  });
  const long = Array.from({ length: 300 }, (_, i) => i).join(',');
  test.each([
    ['a prompt longer than the context', [`--ids`, long], 5, 'E_PROMPT_LONG'],
    ['an id outside the vocabulary', ['--ids', '0,384'], 2, 'E_IDS'],
    ['what is no id', ['--ids', '0,x'], 2, 'E_IDS'],
    ['text for a checkpoint without tokenizer', ['text'], 2, 'E_NO_TOKENIZER'],
    ['text and ids', ['text', '--ids', '0'], 2, 'E_USAGE'],
    ['a stop id for a text', ['text', '--stop-id', '1'], 2, 'E_USAGE'],
  ])('%s is refused', async (_, args, exit, code) => {
    const got = await call(['generate', MODEL, ...args]);
    expect(got.exit).toBe(exit);
    expect(got.err).toContain(code);
  });
  test('--truncate left keeps the end of a long prompt, and --stop-id ends', async () => {
    const { exit, out } = await call([
      'generate',
      MODEL,
      '--ids',
      Array.from({ length: 300 }, (_, i) => i).join(','),
      '--truncate',
      'left',
      ...GREEDY,
    ]);
    expect([exit, out.trim().split(',').length]).toEqual([0, 24]);
    const stopped = await call(['generate', MODEL, ...ids('single'), ...GREEDY, '--stop-id', '181', '--json']);
    expect(JSON.parse(stopped.out)).toMatchObject({ generations: [{ ids: [173, 340, 181], ending: 'eos' }] });
  });
});

describe.runIf(engineIsBuilt())('inspect --ids-file', () => {
  const file = join(folder, 'ids.txt');
  writeFileSync(file, `${prompts['crowded']!.ids[0]!.join(',')}\n[0, 17, 5]\n`);
  test('shows what routers do with rows of ids', async () => {
    const { exit, out } = await call(['inspect', MODEL, '--ids-file', file, '--json']);
    expect(exit).toBe(0);
    const { rows, layers } = JSON.parse(out) as { rows: { layers: { capacity: number; kept: number[] }[] }[]; layers: { layer: number }[] };
    expect(layers.map((l) => l.layer)).toEqual([1, 3]);
    expect(rows[0]!.layers.flatMap((l) => l.kept).filter((k) => k === 0).length).toBe(5);
    expect(rows[1]!.layers.map((l) => l.capacity)).toEqual([4, 4]);
  });
  test('refuses a file that is not there, and one without ids', async () => {
    expect((await call(['inspect', MODEL, '--ids-file', join(folder, 'none')])).exit).toBe(3);
    writeFileSync(join(folder, 'empty.txt'), '\n');
    expect((await call(['inspect', MODEL, '--ids-file', join(folder, 'empty.txt')])).exit).toBe(2);
    expect((await call(['inspect', MODEL])).exit).toBe(2); // no probe set, no ids
  });
});

describe.runIf(engineIsBuilt())('models parity', () => {
  test('exits 0 when all is within tolerance, 6 when not, 3 without fixtures', async () => {
    const dir = join(folder, 'jax');
    for (const name of ['geometry.json', 'modules.json', 'modules.safetensors']) cpSync(`${GOLDENS}/jax/${name}`, join(dir, name));
    const good = await call(['models', 'parity', dir, '--json']);
    expect(good.exit).toBe(0);
    expect(JSON.parse(good.out)).toMatchObject({ schema: 'openmoe.parity/1', ok: true, not_covered: [] });
    const text = readFileSync(join(dir, 'geometry.json'), 'utf8');
    writeFileSync(
      join(dir, 'geometry.json'),
      text.replace('"num_groups": 64', '"num_groups": 65').replace('"num_groups":64', '"num_groups":65'),
    );
    const bad = await call(['models', 'parity', dir, '--json']);
    expect(bad.exit).toBe(6);
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false });
    expect((await call(['models', 'parity', `${GOLDENS}/routing`])).exit).toBe(3);
  });
});
