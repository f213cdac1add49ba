import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeDisk } from './disk.ts';
import { findRun, listRuns } from './find.ts';
import { acquire, ownerOf, release } from './lock.ts';
import { thisProcess } from './process.ts';
import { createRun, openRun } from './run.ts';

const root = mkdtempSync(join(tmpdir(), 'openmoe-lock-'));
afterAll(() => rmSync(root, { recursive: true }));

const dead = { ...thisProcess(), start: 'a process of this number that started at another time' };
const stale = (path: string): void => writeFileSync(path, JSON.stringify(dead));

describe('of many who want a lock', () => {
  const contenders = Array.from({ length: 16 }, (_, i) => i);
  const winners = async (path: string): Promise<number> => {
    const results = await Promise.allSettled(contenders.map(() => acquire(path, nodeDisk)));
    for (const r of results) if (r.status === 'rejected') expect(r.reason).toMatchObject({ code: 'E_RUN_BUSY', exit: 2 });
    return results.filter((r) => r.status === 'fulfilled').length;
  };

  test('one gets it when it is free, none while it is held, one after it was released', async () => {
    const path = join(root, 'free');
    expect([await winners(path), await winners(path)]).toEqual([1, 0]);
    await release(path, nodeDisk);
    expect(await winners(path)).toBe(1);
  });

  test('one gets it when its owner is dead, also when somebody died while taking it over', async () => {
    for (const leftovers of [['stale'], ['stale', 'stale.next'], ['stale', 'stale.next', 'stale.next.next']]) {
      for (const name of leftovers) stale(join(root, name));
      expect(await winners(join(root, 'stale'))).toBe(1);
      expect(await ownerOf(join(root, 'stale'))).toEqual(thisProcess());
      await release(join(root, 'stale'), nodeDisk);
      expect(readdirSync(root).filter((name) => name.startsWith('stale'))).toEqual([]);
    }
  });

  test.each(['holds', 'has released'])(
    'the late one, who has found a dead owner that another has replaced, respects that who %s it',
    async (what) => {
      const path = join(root, 'late');
      stale(path);
      const overtaken = async (from: string, to: string): Promise<void> => {
        if (to.endsWith('.next')) {
          await acquire(path, nodeDisk);
          if (what === 'has released') await release(path, nodeDisk);
        }
        await nodeDisk.link(from, to);
      };
      const late = acquire(path, { ...nodeDisk, link: overtaken });
      if (what === 'holds') await expect(late).rejects.toMatchObject({ code: 'E_RUN_BUSY' });
      else await late;
      expect(await ownerOf(path)).toEqual(thisProcess());
      await release(path, nodeDisk);
    },
  );

  test('one gets it when a power failure has torn it', async () => {
    writeFileSync(join(root, 'torn'), '');
    expect(await winners(join(root, 'torn'))).toBe(1);
  });
});

test('the lock of another machine is respected, and its run counts as crashed once the heartbeat is silent', async () => {
  const run = await createRun({ root, name: 'elsewhere', recipe: {}, origin: {}, env: {} });
  await run.setState('running');
  const state = async (): Promise<string> => (await listRuns(root)).find((r) => r.id === run.id)!.state;
  writeFileSync(run.path('lock'), JSON.stringify({ ...dead, host: `not-${hostname()}` }));
  await expect(openRun(run.dir)).rejects.toThrow(/E_RUN_BUSY.*not-.*delete/);
  expect(await state()).toBe('running');
  const longAgo = Date.now() / 1000 - 3600;
  utimesSync(run.path('heartbeat'), longAgo, longAgo);
  expect(await state()).toBe('crashed');
  await run.close();
  rmSync(run.dir, { recursive: true });
});

/** A process that holds a new run named `name` in `root` until it is killed. */
async function holder(name: string): Promise<ChildProcess> {
  const code = `const { createRun } = await import(${JSON.stringify(pathToFileURL('src/runs/index.ts').href)});
    const run = await createRun({ root: ${JSON.stringify(root)}, name: '${name}', recipe: {}, origin: {}, env: {} });
    run.appender('metrics.jsonl').append({ step: 1 });
    setInterval(() => {}, 1000);
    console.log('holding');`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout!, 'data');
  return child;
}

test("two processes on one run: the second is told the first one's number; killed, the run shows as crashed and goes on", async () => {
  const child = await holder('shared');
  const { dir, id } = await findRun('shared', root);
  const state = async (): Promise<string> => (await listRuns(root)).find((r) => r.id === id)!.state;
  await expect(openRun(dir)).rejects.toMatchObject({
    code: 'E_RUN_BUSY',
    exit: 2,
    message: expect.stringContaining(`process ${child.pid}`) as string,
  });
  await expect(createRun({ root, dir, recipe: {}, origin: {}, env: {} })).rejects.toMatchObject({ code: 'E_RUN_EXISTS', exit: 2 });
  expect(await state()).toBe('running');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await state()).toBe('crashed');
  expect(readFileSync(join(dir, 'metrics.jsonl'), 'utf8')).toBe('{"step":1}\n');
  const run = await openRun(dir);
  expect(await state()).toBe('running');
  await run.setState('stopped', { step: 1 });
  await run.close();
  expect(await state()).toBe('stopped');
});
