/** The comparison itself: what differs is told, what is missing is not passed over, and nothing in a folder widens a tolerance. */
import { describe, expect, test } from 'vitest';
import { openRef } from '../exec/index.ts';
import { type FixtureFolder, openFixtures, runParity } from './index.ts';
import { ALLOWED, sheet } from './row.ts';

const GOLDENS = new URL('../../test/goldens', import.meta.url).pathname;
const executor = openRef();
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A golden folder that holds only files of these names, some of them changed. */
async function folderOf(
  side: 'jax' | 'torch',
  names: RegExp,
  changed: Readonly<Record<string, (old: Uint8Array) => Uint8Array>> = {},
): Promise<FixtureFolder> {
  const whole = await openFixtures(`${GOLDENS}/${side}`);
  const read = async (path: string): Promise<Uint8Array> => {
    const old = await whole.read(path);
    return changed[path]?.(old) ?? old;
  };
  return { ...whole, files: whole.files.filter((f) => names.test(f)), read };
}
const json = (change: (value: Record<string, unknown>) => unknown) => (old: Uint8Array) =>
  bytes(change(JSON.parse(new TextDecoder().decode(old)) as Record<string, unknown>));

describe('a sheet', () => {
  const rowOf = (ours: readonly number[], theirs: readonly number[]) => {
    const to = sheet('x');
    to.near('y', ours, theirs, ALLOWED.jaxLogits);
    return to.rows[0]!;
  };
  test.each([
    ['a number that is none', [NaN, 1], [0, 1]],
    ['a reference that is none', [0, 1], [NaN, 1]],
    ['another length', [0], [0, 1]],
    ['nothing', [], []],
    ['an infinity', [Infinity], [1]],
  ])('fails on %s', (_, ours, theirs) => {
    expect(rowOf(ours, theirs)).toMatchObject({ verdict: 'fail', max_abs: null });
  });
  test('measures parts of losses in their own size only where they are above 1', () => {
    const to = sheet('x');
    to.near('small', [1e-4 + 9e-6], [1e-4], ALLOWED.lossPart);
    to.near('small, too far', [1e-4 + 2e-5], [1e-4], ALLOWED.lossPart);
    to.near('large', [5000.04], [5000], ALLOWED.lossPart);
    to.near('large, too far', [5000.06], [5000], ALLOWED.lossPart);
    expect(to.rows.map((r) => [r.measure, r.verdict])).toEqual([
      ['absolute', 'pass'],
      ['absolute', 'fail'],
      ['relative', 'pass'],
      ['relative', 'fail'],
    ]);
  });
  test('measures the largest difference, and keeps it when a quantity comes again', () => {
    const to = sheet('x');
    to.near('y', [2, 4], [2.00005, 4], ALLOWED.jaxLogits);
    to.near('y', [2, 4], [2, 4], ALLOWED.jaxLogits);
    to.same('z', [1, 2, 3], [1, 0, 0]);
    to.same('z', [1], [1]);
    expect(to.rows[0]).toMatchObject({ verdict: 'pass', max_abs: expect.closeTo(5e-5, 8) as number, tolerance: 1e-4 });
    expect(to.rows[1]).toMatchObject({ verdict: 'fail', decisions_differ: 2, tolerance: 0 });
  });
});

describe('a folder of fixtures', () => {
  test('with another number in it fails, whatever its README allows', async () => {
    const folder = await folderOf('jax', /^(geometry\.json|README\.md)$/, {
      'geometry.json': json((g) => ({ ...g, tolerance: 1e9, layers: [{ ...(g['layers'] as object[])[0], capacity_train: 321 }] })),
    });
    const report = await runParity(folder, executor);
    expect(report.ok).toBe(false);
    expect(report.rows.find((r) => r.quantity === 'capacities')).toMatchObject({ decisions_differ: 1, tolerance: 0, verdict: 'fail' });
  });
  test('with a moved gate value or choice fails there and nowhere else', async () => {
    const folder = await folderOf('torch', /^router-cases/, {
      'router-cases.json': json((cases) => {
        const [name] = Object.keys(cases) as [string];
        const one = structuredClone(cases[name]) as { train: { combine_weights: number[][]; slot: number[][] } };
        one.train.combine_weights[0]![0]! += 3e-5;
        one.train.slot[0]![0] = 7;
        return { [name]: one };
      }),
    });
    const report = await runParity(folder, executor);
    expect(report.rows.filter((r) => r.verdict === 'fail').map((r) => r.quantity)).toEqual(['slots', 'combine weights']);
  });
  test.each([
    ['a file that is missing', 'jax', /^(trace|m1)\/(?!batches)/, 'trace', 'batches.safetensors'],
    ['a model that is missing', 'torch', /^loss/, 'loss-tiny1 losses', 'model-bin'],
    ['half of a pair', 'torch', /^(model-bin\/|forward-tiny1\.safetensors)/, 'forward-tiny1', 'the file is missing'],
  ] as const)('%s is not run, and says so', async (_, side, names, fixture, reason) => {
    const folder = await folderOf(side, names);
    const missing = {
      ...folder,
      open: (path: string) => (folder.files.some((f) => f.startsWith(path)) ? folder.open(path) : Promise.reject(new Error(`no ${path}`))),
    };
    const report = await runParity(missing, executor);
    expect(report.ok).toBe(false);
    const row = report.rows.find((r) => r.fixture === fixture && r.verdict === 'not run');
    expect(row?.reason).toContain(reason);
  });
  test('compares a checkpoint with the formula that made it, among models of the same sizes, whatever its folder is called', async () => {
    const whole = await folderOf('torch', /^(model-legacy\/|forward-tiny1)/);
    const path = (name: string): string => name.replace('tiny-legacy', 'model-legacy').replace('forward-another', 'forward-tiny1');
    const other = json((f) => ({ ...f, seed: 7, inputs: {} }));
    const folder: FixtureFolder = {
      ...whole,
      files: [
        ...whole.files.map((f) => f.replace('model-legacy', 'tiny-legacy')),
        'forward-another.json',
        'forward-another.safetensors',
      ].sort(),
      read: async (name) => (name === 'forward-another.json' ? other(await whole.read(path(name))) : whole.read(path(name))),
      open: (name) => whole.open(path(name)),
    };
    const { rows } = await runParity(folder, executor);
    const ofFolder = rows.filter((r) => r.fixture === 'tiny-legacy as a checkpoint');
    expect(ofFolder.map((r) => [r.quantity, r.verdict])).toEqual([
      ['entries that are not finite', 'pass'],
      ['weights by formula', 'pass'],
      ['logits', 'pass'],
    ]);
  });
  test('that is broken is not run', async () => {
    const folder = await folderOf('jax', /^(modules|init)/, {
      'modules.safetensors': (old) => old.subarray(0, -3),
      'init.json': () => bytes([]).subarray(1),
    });
    const report = await runParity(folder, executor);
    expect(report.rows.map((r) => [r.fixture, r.verdict])).toEqual([
      ['modules', 'not run'],
      ['init', 'not run'],
    ]);
  });
  test('names what it does not cover', async () => {
    const whole = await folderOf('jax', /^geometry/);
    const report = await runParity({ ...whole, files: [...whole.files, 'data/ul2.json'] }, executor);
    expect(report.not_covered).toEqual(['data/ul2.json']);
    expect(report.ok).toBe(true);
  });
  test('that holds nothing of the kind is refused', async () => {
    const none: FixtureFolder = { ...(await folderOf('jax', /^$/)), files: ['notes/a.txt'] };
    await expect(runParity(none, executor)).rejects.toMatchObject({ code: 'E_FIXTURES', exit: 3 });
    await expect(openFixtures('/nowhere/at/all')).rejects.toMatchObject({ code: 'E_FIXTURES' });
  });
});
