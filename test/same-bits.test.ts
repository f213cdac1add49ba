/** Killed at any moment and resumed, or run with another number of threads, a run ends with identical bytes. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';

const root = resolve(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'openmoe-bits-'));
/** More is better: `KILLS=20 npx vitest run test/same-bits`. */
const KILLS = Number(process.env['KILLS'] ?? 4);
const SETTINGS = ['train.steps=60', 'checkpoints.everySeconds=0.5', 'checkpoints.probeShares=[0,0.5,1]'];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly said: string;
}
/** `openmoe train tiny` in a process of its own, killed after that many milliseconds unless it is done. */
function train(dir: string, { threads, killAfter }: { threads: number; killAfter?: number }): Promise<Ended> {
  const verb = existsSync(join(dir, 'run.json')) ? ['train', '--resume', '--run', dir] : ['train', 'tiny', ...SETTINGS, '--run', dir];
  return new Promise((done) => {
    const child = spawn(process.execPath, ['bin/openmoe.mjs', ...verb, '--threads', String(threads)], { cwd: root });
    let said = '';
    child.stderr.on('data', (d: Buffer) => (said += d.toString()));
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    child.on('close', (code) => {
      clearTimeout(timer);
      done({ code, said });
    });
  });
}

/** Hash of every file of every checkpoint. */
function hashes(dir: string): Record<string, string> {
  const checkpoints = join(dir, 'checkpoints');
  return Object.fromEntries(
    readdirSync(checkpoints).sort().flatMap((step) =>
      readdirSync(join(checkpoints, step)).sort().map((file) => [`${step}/${file}`, createHash('sha256').update(readFileSync(join(checkpoints, step, file))).digest('hex')]),
    ),
  );
}

let whole: Record<string, string>;
let seconds: number;
beforeAll(async () => {
  const started = performance.now();
  const ended = await train(join(folder, 'whole'), { threads: 2 });
  seconds = (performance.now() - started) / 1000;
  expect(ended.code, ended.said).toBe(0);
  whole = hashes(join(folder, 'whole'));
}, 120_000);

test('a run keeps the checkpoints that its recipe names', () => {
  expect(new Set(Object.keys(whole).map((k) => k.split('/')[0]))).toEqual(new Set(['step-000000', 'step-000030', 'step-000060']));
});

test('one thread ends with the bytes of two', async () => {
  expect((await train(join(folder, 'one'), { threads: 1 })).code).toBe(0);
  expect(hashes(join(folder, 'one'))).toEqual(whole);
}, 120_000);

test(`killed ${KILLS} times and resumed, a run ends with the bytes of one that was left alone`, async () => {
  const dir = join(folder, 'killed');
  const random = rng(Number(process.env['SEED'] ?? 1)).at('kill');
  let killed = 0;
  for (let attempt = 0; attempt < 10 * KILLS && killed < KILLS; attempt++) {
    // Resuming takes about as long as starting: a kill must fall anywhere in start, training and saving.
    const { code } = await train(dir, { threads: 1 + (attempt % 2), killAfter: 1000 * seconds * (0.25 + 0.75 * random.uniform(attempt)) });
    if (code === 0) break;
    killed++;
  }
  expect(killed).toBeGreaterThan(0);
  if (!existsSync(join(dir, 'checkpoints', 'step-000060'))) expect((await train(dir, { threads: 2 })).code).toBe(0);
  expect(hashes(dir)).toEqual(whole);
}, 60_000 + 30_000 * KILLS);
