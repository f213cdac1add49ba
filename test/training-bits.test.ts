/** Fifty steps of training leave the same bytes for any number of threads, on a busy machine too, on every instruction set and in both precisions. */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { RECIPES } from '../recipes/index.ts';
import { rng } from '../src/base/index.ts';
import type { Batch } from '../src/data/index.ts';
import { cpuIsas, type Executor, openCpu, openWasm, wasmIsas } from '../src/exec/index.ts';
import { checkRecipe, initialValues, modelOf, openSession, override, type Recipe } from '../src/train/index.ts';
import { withIsa } from './support.ts';

const STEPS = 50;
const recipeIn = (precision: string): Recipe =>
  checkRecipe(override(RECIPES['tiny']!, ['model.layers=2', 'data.length=32', `precision=${precision}`]), 'test');

function batchOf({ train, data, model }: Recipe, step: number): Batch {
  const random = rng(step);
  const size = train.batch * data.length;
  const ids = (name: string): Int32Array => Int32Array.from({ length: size }, (_, i) => 1 + random.at(name).below(model.vocab - 1, i));
  const constant = { segments: new Int32Array(size).fill(1), weights: new Float32Array(size).fill(1), domains: new Int32Array(size) };
  return { tokens: ids('tokens'), targets: ids('targets'), ...constant };
}

/** Hash of all weights and optimizer state after the steps. */
async function trained(recipe: Recipe, executor: Executor): Promise<string> {
  const model = modelOf(recipe);
  const session = await openSession(model, recipe, executor);
  session.restore({ parameters: initialValues(model, 1) });
  for (let step = 0; step < STEPS; step++) await session.step(batchOf(recipe, step), step);
  const hash = createHash('sha256');
  for (const name of [...Object.keys(session.weights), ...session.slots.keys()]) hash.update(new Uint8Array(session.read(name).buffer));
  session.close();
  executor.close();
  return hash.digest('hex');
}

/** Keeps one core busy while `work` runs. */
async function beside<T>(work: () => Promise<T>): Promise<T> {
  const busy = new Worker('for (;;) Math.random();', { eval: true });
  try {
    return await work();
  } finally {
    await busy.terminate();
  }
}

type Open = (threads: number) => Executor;
const SETS: readonly (readonly [string, Open])[] = [
  ...cpuIsas().map((isa) => [`cpu, ${isa}`, (threads: number) => withIsa(isa, () => openCpu({ threads }))] as const),
  ...wasmIsas().map((isa) => [`wasm, ${isa}`, (threads: number) => withIsa(isa, () => openWasm({ threads }))] as const),
];

describe.each(SETS)('%s', (_, open) => {
  test.each(['f32', 'bf16'])(
    '%s',
    async (precision) => {
      const recipe = recipeIn(precision);
      const alone = await trained(recipe, open(1));
      for (const threads of [2, 3, 7]) expect(await trained(recipe, open(threads)), `${threads} threads`).toBe(alone);
      expect(await beside(() => trained(recipe, open(2))), 'a busy machine').toBe(alone);
    },
    120_000,
  );
});
