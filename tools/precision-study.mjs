/**
 * Does bf16 train as well as f32? Pairs of runs with the same seed (weights and order of data), f32 and bf16, and the 95 % interval of the
 * mean difference in validation loss.   node tools/precision-study.mjs FOLDER [SEEDS] [STEPS]: goes on where it was stopped.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [folder, seeds = '5', steps = '2000'] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node tools/precision-study.mjs FOLDER [SEEDS] [STEPS]');
const SETTINGS = [`train.steps=${steps}`, 'train.batch=4', 'data.length=128', 'validation.rows=256'];

/** Validation loss of a run, which is trained if it was not yet. */
function lossOf(seed, precision) {
  const answer = join(folder, `${precision}-${seed}.json`);
  if (!existsSync(answer)) {
    const run = join(folder, `${precision}-${seed}`);
    const what = existsSync(join(run, 'run.json')) ? ['--resume'] : ['quickstart', ...SETTINGS, `precision=${precision}`, '--seed', seed];
    const { status, stdout } = spawnSync(process.execPath, ['bin/openmoe.mjs', 'train', ...what, '--run', run, '--json'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`training stopped with exit code ${status}`);
    writeFileSync(`${answer}.part`, stdout);
    renameSync(`${answer}.part`, answer);
  }
  return JSON.parse(readFileSync(answer, 'utf8')).loss.val;
}

/** Two-sided 95 % quantiles of Student's t by degrees of freedom; 1.96 beyond. */
const T95 = [
  NaN,
  12.706,
  4.303,
  3.182,
  2.776,
  2.571,
  2.447,
  2.365,
  2.306,
  2.262,
  2.228,
  2.201,
  2.179,
  2.16,
  2.145,
  2.131,
  2.12,
  2.11,
  2.101,
  2.093,
];

mkdirSync(folder, { recursive: true });
const differences = [];
for (let seed = 1; seed <= Number(seeds); seed++) {
  const [f32, bf16] = ['f32', 'bf16'].map((precision) => lossOf(String(seed), precision));
  differences.push(bf16 - f32);
  console.log(`seed ${seed}: f32 ${f32.toFixed(4)}, bf16 ${bf16.toFixed(4)}, difference ${(bf16 - f32).toFixed(4)}`);
}
const n = differences.length;
const mean = differences.reduce((a, b) => a + b) / n;
const deviation = Math.sqrt(differences.reduce((s, d) => s + (d - mean) ** 2, 0) / (n - 1));
const half = ((T95[n - 1] ?? 1.96) * deviation) / Math.sqrt(n);
console.log(
  `mean difference ${mean.toFixed(4)} nats, 95 % interval [${(mean - half).toFixed(4)}, ${(mean + half).toFixed(4)}] of ${n} pairs`,
);
