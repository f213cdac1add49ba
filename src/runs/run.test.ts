import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { environment } from './environment.ts';
import { findRun, listRuns } from './find.ts';
import { readRun } from './folder.ts';
import { freshAnimal, nameOf, runId } from './name.ts';
import { createRun, openRun } from './run.ts';

const base = mkdtempSync(join(tmpdir(), 'openmoe-run-'));
afterAll(() => rmSync(base, { recursive: true }));
const files = { recipe: { name: 'x', train: { steps: 3 } }, origin: { 'train.steps': 'flag' }, env: {} };

describe('a new run', () => {
  const root = join(base, 'new');

  test('is called by date and animal, and a taken id gets a number', async () => {
    const [a, b, c] = [
      await createRun({ root, ...files }),
      await createRun({ root, name: 'otter', ...files }),
      await createRun({ root, name: 'otter', ...files }),
    ];
    expect(a.id).toMatch(/^\d{4}-\d\d-\d\d-[a-z]+$/);
    expect(b.id).toMatch(/^\d{4}-\d\d-\d\d-otter$/);
    expect(c.id).toBe(`${b.id}-2`);
    expect(await a.readJson('recipe.json')).toEqual(files.recipe);
    expect(await a.info()).toMatchObject({ schema: 'openmoe.run/1', id: a.id, state: 'running', tags: [] });
    for (const run of [a, b, c]) await run.close();
  });

  test("goes to a folder of the user's choice when that is free or empty", async () => {
    mkdirSync(join(base, 'empty'));
    for (const dir of [join(base, 'empty'), join(base, 'deep', 'er')]) {
      const run = await createRun({ root, dir, ...files });
      expect(run.dir).toBe(dir);
      await run.close();
    }
  });

  test('never goes where there is a run or anything else', async () => {
    mkdirSync(join(base, 'thesis'));
    writeFileSync(join(base, 'thesis', 'chapter1.md'), 'x');
    writeFileSync(join(base, 'file'), 'x');
    const at = (dir: string) => createRun({ root, dir: join(base, dir), ...files });
    await expect(at('empty')).rejects.toMatchObject({
      code: 'E_RUN_EXISTS',
      exit: 2,
      message: expect.stringMatching(/--resume.*another folder/) as string,
    });
    await expect(at('thesis')).rejects.toThrow(/E_RUN_EXISTS.*chapter1\.md/);
    await expect(at('file')).rejects.toMatchObject({ exit: 2 });
    await expect(at('file/below')).rejects.toMatchObject({ code: 'E_NOT_WRITABLE', exit: 2 });
    expect(existsSync(join(base, 'thesis', 'lock'))).toBe(false);
  });

  test('is opened when it exists only', async () => {
    await expect(openRun(join(base, 'thesis'))).rejects.toMatchObject({ code: 'E_RUN_UNKNOWN', exit: 3 });
    await expect(readRun(join(base, 'nowhere'))).rejects.toMatchObject({ code: 'E_RUN_UNKNOWN', exit: 3 });
  });
});

describe('growing files', () => {
  test('a resumed run forgets what it said about later steps, and torn lines', async () => {
    const run = await createRun({ root: base, name: 'growing', ...files });
    for (const name of ['metrics.jsonl', 'events.jsonl', 'routing/load.jsonl'])
      for (let step = 1; step <= 5; step++) run.appender(name).append({ step, x: step / 3 });
    run.appender('events.jsonl').append({ kind: 'note' });
    run.log('hello');
    await run.close();
    appendFileSync(run.path('metrics.jsonl'), '{"step":6,"lo');

    const again = await openRun(run.dir);
    expect(readFileSync(run.path('metrics.jsonl'), 'utf8').endsWith('}\n')).toBe(true);
    again.appender('metrics.jsonl').append({ step: 6 });
    await again.truncateAfter(3);
    again.appender('metrics.jsonl').append({ step: 4 });
    const steps = async (name: string): Promise<unknown[]> =>
      (await again.readLines(name)).map(({ value }) => (value as { step?: number }).step);
    expect([await steps('metrics.jsonl'), await steps('events.jsonl'), await steps('routing/load.jsonl')]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, undefined],
      [1, 2, 3],
    ]);
    expect(await again.readLines('samples.jsonl')).toEqual([]);
    expect(readFileSync(run.path('log.txt'), 'utf8')).toMatch(/^\d{4}-.*Z hello\n$/);
    await again.close();
  });

  test('nothing is rewritten when nothing is dropped', async () => {
    const run = await createRun({ root: base, name: 'kept', ...files });
    run.appender('metrics.jsonl').append({ step: 1 });
    const { ino } = statSync(run.path('metrics.jsonl'));
    await run.truncateAfter(1);
    expect(statSync(run.path('metrics.jsonl')).ino).toBe(ino);
    await run.close();
  });
});

describe('a run is found', () => {
  const root = join(base, 'find');
  const made = (async () => {
    const ids: string[] = [];
    for (const name of ['otter', 'lynx', 'sea-otter', 'sea-lion']) {
      const run = await createRun({ root, name, ...files });
      if (name === 'lynx') {
        for (const step of [10, 1000, 2000]) await run.saveCheckpoint(step, [{ name: 'a', chunks: Uint8Array.of(1) }]);
        for (const [step, loss] of [
          [5, 0.1],
          [10, 3],
          [1000, 2],
          [2000, 2],
        ] as const)
          run.appender('events.jsonl').append({ kind: 'validation', step, loss });
      }
      await run.setState('finished');
      await run.close();
      ids.push(run.id);
    }
    const late = JSON.parse(readFileSync(join(root, ids[0]!, 'run.json'), 'utf8')) as object;
    writeFileSync(join(root, ids[0]!, 'run.json'), JSON.stringify({ ...late, created: '2999-01-01T00:00:00.000Z' }));
    return { otter: ids[0]!, lynx: ids[1]!, sea: ids[2]!, lion: ids[3]! };
  })();
  const found = async (ref: string) => (({ id, step }) => [id, step])(await findRun(ref, root));

  test('by last, id, part of it, or folder', async () => {
    const { otter, lynx, lion } = await made;
    expect(await found('last')).toEqual([otter, undefined]);
    expect(await found(otter)).toEqual([otter, undefined]);
    expect(await found('lynx')).toEqual([lynx, undefined]);
    expect(await found('otter')).toEqual([otter, undefined]);
    expect(await found('LION')).toEqual([lion, undefined]);
    expect(await found(join(root, lynx))).toEqual([lynx, undefined]);
  });

  test('with a step, or the checkpoint of least validation loss', async () => {
    const { lynx, otter } = await made;
    expect(await found('lynx@1000')).toEqual([lynx, 1000]);
    expect(await found('lynx@2k')).toEqual([lynx, 2000]);
    expect(await found('lynx@best')).toEqual([lynx, 1000]);
    expect(await found(`${join(root, lynx)}@10`)).toEqual([lynx, 10]);
    await expect(found('lynx@999')).rejects.toMatchObject({
      code: 'E_CHECKPOINT_UNKNOWN',
      exit: 3,
      message: expect.stringContaining('1000') as string,
    });
    await expect(found('lynx@soon')).rejects.toMatchObject({ exit: 2 });
    await expect(found(`${otter}@best`)).rejects.toMatchObject({ code: 'E_CHECKPOINT_UNKNOWN', exit: 3 });
  });

  test('or the nearest one is named', async () => {
    await made;
    await expect(found('lymx')).rejects.toMatchObject({
      code: 'E_RUN_UNKNOWN',
      exit: 3,
      message: expect.stringContaining('did you mean lynx?') as string,
    });
    await expect(found('sea')).rejects.toMatchObject({ code: 'E_RUN_AMBIGUOUS', exit: 2 });
    await expect(found(`./${'x'.repeat(5000)}`)).rejects.toMatchObject({ code: 'E_RUN_UNKNOWN', exit: 3 });
    await expect(found('./nowhere')).rejects.toMatchObject({ code: 'E_RUN_UNKNOWN', exit: 3 });
    await expect(findRun('last', join(base, 'no-runs'))).rejects.toMatchObject({ code: 'E_RUN_UNKNOWN', exit: 3 });
  });

  test('and listed newest first; one whose run.json is damaged does not hide the others', async () => {
    const { otter, lynx, sea, lion } = await made;
    const listed = (await listRuns(root)).map((r) => [r.id, r.state, r.step]);
    expect(listed).toEqual([
      [otter, 'finished', undefined],
      [lion, 'finished', undefined],
      [sea, 'finished', undefined],
      [lynx, 'finished', 2000],
    ]);
    writeFileSync(join(root, sea, 'run.json'), '{');
    expect((await listRuns(root)).map((r) => r.state)).toEqual(['finished', 'finished', 'finished', 'damaged']);
    expect(await listRuns(join(base, 'no-runs'))).toEqual([]);
  });

  test('under the name of its folder, should that have been renamed', async () => {
    const { lynx } = await made;
    renameSync(join(root, lynx), join(root, 'best-of-all'));
    expect(await found('best')).toEqual(['best-of-all', undefined]);
  });
});

test('an animal is not used twice as long as there are others', () => {
  const ids: string[] = [];
  for (let i = 0; i < 112; i++) ids.push(runId(new Date(2026, 10, 22), freshAnimal(ids), 1));
  expect(new Set(ids.map(nameOf)).size).toBe(112);
  expect(runId(new Date(2026, 0, 2), 'otter', 3)).toBe('2026-01-02-otter-3');
  expect(freshAnimal(ids)).toMatch(/^[a-z]+$/);
});

test('the environment says what ran where', async () => {
  const env = await environment({ seed: 7 });
  expect(env).toMatchObject({ schema: 'openmoe.env/1', node: process.version, seed: 7 });
  expect(env.openmoe).toMatch(/^\d+\.\d+\.\d+/);
  expect(env.memory).toBeGreaterThan(1e8);
  if (existsSync('.git')) expect(env.git?.revision).toMatch(/^[0-9a-f]{40}$/);
});
