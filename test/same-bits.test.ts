/** Killed at any moment and resumed, or run with another number of threads, a run ends with identical bytes. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';

const root = resolve(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'openmoe-bits-'));
/** More is better: `KILLS=20 npx vitest run test/same-bits`. */
const KILLS = Number(process.env['KILLS'] ?? 4);
const TEXTS = join(folder, 'texts');
const SETTINGS = [`data=${TEXTS}`, 'train.steps=200', 'checkpoints.everySeconds=0.2', 'checkpoints.probeShares=[0,0.5,1]'];

/** Two domains of made-up sentences: read in no time, so that most of a process's life is training and saving. */
function writeTexts(): void {
  const random = rng(3).at('texts');
  mkdirSync(TEXTS);
  for (const domain of ['one', 'two']) {
    const word = (i: number): string => `${domain}${random.at(domain).below(300, i).toString(36)}`;
    const document = (d: number): string => Array.from({ length: 400 }, (_, i) => word(d * 400 + i)).join(' ');
    writeFileSync(
      join(TEXTS, `${domain}.jsonl`),
      Array.from({ length: 40 }, (_, d) => `${JSON.stringify({ text: document(d) })}\n`).join(''),
    );
  }
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly said: string;
}
interface Kill {
  /** Milliseconds, from the first step or from the start of the process. */
  readonly after: number;
  readonly from: 'process' | 'training';
}
/** `openmoe train tiny` in a process of its own, killed when `kill` says so unless it is done. */
function train(dir: string, { threads, kill }: { threads: number; kill?: Kill }): Promise<Ended> {
  const verb = existsSync(join(dir, 'run.json')) ? ['train', '--resume', '--run', dir] : ['train', 'tiny', ...SETTINGS, '--run', dir];
  return new Promise((done) => {
    const child = spawn(process.execPath, ['bin/openmoe.mjs', ...verb, '--threads', String(threads)], { cwd: root });
    let said = '';
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => void (timer ??= kill && setTimeout(() => child.kill('SIGKILL'), kill.after));
    if (kill?.from === 'process') arm();
    child.stderr.on('data', (d: Buffer) => {
      said += d.toString();
      if (/^start step=/m.test(said)) arm();
    });
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
    readdirSync(checkpoints)
      .sort()
      .flatMap((step) =>
        readdirSync(join(checkpoints, step))
          .sort()
          .map((file) => [
            `${step}/${file}`,
            createHash('sha256')
              .update(readFileSync(join(checkpoints, step, file)))
              .digest('hex'),
          ]),
      ),
  );
}

let whole: Record<string, string>;
let seconds: number;
beforeAll(async () => {
  writeTexts();
  const started = performance.now();
  const ended = await train(join(folder, 'whole'), { threads: 2 });
  seconds = (performance.now() - started) / 1000;
  expect(ended.code, ended.said).toBe(0);
  whole = hashes(join(folder, 'whole'));
}, 120_000);

test('a run keeps the checkpoints that its recipe names', () => {
  expect(new Set(Object.keys(whole).map((k) => k.split('/')[0]))).toEqual(new Set(['step-000000', 'step-000100', 'step-000200']));
});

test('one thread ends with the bytes of two', async () => {
  expect((await train(join(folder, 'one'), { threads: 1 })).code).toBe(0);
  expect(hashes(join(folder, 'one'))).toEqual(whole);
}, 120_000);

test(
  `killed ${KILLS} times and resumed, a run ends with the bytes of one that was left alone`,
  async () => {
    const random = rng(Number(process.env['SEED'] ?? 1)).at('kill');
    let [killed, finished] = [0, 0];
    for (let attempt = 0; killed < KILLS; attempt++) {
      const dir = join(folder, `killed-${finished}`);
      // Two of three fall into training and saving, the third anywhere.
      const kill: Kill = { from: attempt % 3 === 2 ? 'process' : 'training', after: 1000 * seconds * 0.6 * random.uniform(attempt) };
      const { code } = await train(dir, { threads: 1 + (attempt % 2), kill });
      if (code === null) killed++;
      else {
        expect(code).toBe(0);
        expect(hashes(dir)).toEqual(whole);
        finished++;
      }
    }
    const dir = join(folder, `killed-${finished}`);
    const ended = await train(dir, { threads: 2 });
    expect(ended.code, ended.said).toBe(0);
    expect(hashes(dir)).toEqual(whole);
  },
  60_000 + 30_000 * KILLS,
);
