import { afterAll, describe, expect, test } from 'vitest';
import { RECIPES } from '../../recipes/index.ts';
import { rng } from '../base/index.ts';
import { costOf, type Executor, fuse, openCpu, openRef, plan, type Program } from '../exec/index.ts';
import type { Batch } from '../data/index.ts';
import { makeOptimizer } from './optimizers/index.ts';
import { stepConfig, stepProgram } from './step.ts';
import { checkRecipe, initialValues, modelOf, openSession, override, type Recipe, trainingFlops } from './index.ts';

const small = [
  'model.hidden=16',
  'model.inner=16',
  'model.layers=2',
  'model.heads=2',
  'model.headSize=8',
  'model.experts=4',
  'model.vocab=300',
  'tokenizer.vocab=300',
  'data.length=8',
  'train.batch=2',
  'model.groupSize=8',
];
const recipeWith = (...more: string[]): Recipe => checkRecipe(override(RECIPES['tiny']!, [...small, ...more]), 'test');

/** The reference, and the engine where it is built. */
const executors: [string, Executor][] = [openRef, openCpu].flatMap((open) => {
  try {
    const executor = open();
    return [[executor.name, executor]];
  } catch {
    return [];
  }
});
afterAll(() => executors.forEach(([, executor]) => executor.close()));

const programOf = (recipe: Recipe): Program => stepProgram(modelOf(recipe), makeOptimizer(recipe.optimizer), stepConfig(recipe));

function batchOf(rows: number, length: number): Batch {
  const random = rng(4).at('batch');
  const size = rows * length;
  const ids = (name: string): Int32Array => Int32Array.from({ length: size }, (_, i) => 1 + random.at(name).below(299, i));
  return {
    tokens: ids('tokens'),
    targets: ids('targets'),
    segments: new Int32Array(size).fill(1),
    weights: new Float32Array(size).fill(1),
    domains: new Int32Array(size),
  };
}

/** Losses of a few steps on one batch, on the reference executor. */
async function lossesOf(recipe: Recipe, steps: number): Promise<number[]> {
  const session = await openSession(modelOf(recipe), recipe, openRef());
  session.restore({ parameters: initialValues(modelOf(recipe), 1) });
  const batch = batchOf(recipe.train.batch * recipe.train.accumulate, recipe.data.length);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push((await session.step(batch, step)).crossEntropy);
  session.close();
  return losses;
}

describe('a training step', () => {
  test.each(['adafactor', 'adamw'])('lowers the loss on a batch that it sees again, with %s', async (kind) => {
    const losses = await lossesOf(recipeWith(`optimizer.kind=${kind}`, 'schedule.kind=constant', 'schedule.base=0.02'), 6);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.2);
  });

  test('two microbatches sum the gradients of their halves: each group routes alone, so the first loss is that of the whole', async () => {
    const [whole, halves] = [
      await lossesOf(recipeWith('train.batch=4'), 1),
      await lossesOf(recipeWith('train.batch=2', 'train.accumulate=2'), 1),
    ];
    expect(halves[0]).toBeCloseTo(whole[0]!, 5);
  });

  const precisions = ['f32', 'bf16'] as const;
  test.each(['quickstart', 'small', 'medium', 'openmoe-base'].flatMap((name) => precisions.map((p) => [name, p] as const)))(
    'the arena of %s in %s is within 1.2 of what the lifetimes of its values need',
    (name, precision) => {
      const [kept, recomputed] = (['none', 'layer'] as const).map((recompute) => {
        const { train, ...rest } = RECIPES[name]!;
        const { bytes, lowerBound } = plan(fuse(programOf({ ...rest, precision, train: { ...train, recompute } })));
        expect(bytes / lowerBound, recompute).toBeLessThanOrEqual(1.2);
        return bytes;
      });
      expect(recomputed).toBeLessThan(0.6 * kept!);
    },
  );

  test.each(executors)('activations recomputed layer by layer end in the same bits, on %s', async (_, executor) => {
    const states = [];
    for (const recompute of ['none', 'layer']) {
      const recipe = recipeWith('train.accumulate=2', `train.recompute=${recompute}`);
      const session = await openSession(modelOf(recipe), recipe, executor);
      session.restore({ parameters: initialValues(modelOf(recipe), 1) });
      const losses = [];
      for (let step = 0; step < 3; step++) losses.push((await session.step(batchOf(4, recipe.data.length), step)).loss);
      states.push({ losses, memory: [...Object.keys(session.weights), ...session.slots.keys()].map((name) => [name, session.read(name)]) });
      session.close();
    }
    expect(states[1]).toEqual(states[0]);
  });

  test('its ops count what the formula for model FLOPs says, to the last one', () => {
    for (const name of ['tiny', 'tiny-dense', 'small']) {
      const recipe = RECIPES[name]!;
      expect(costOf(programOf(recipe)).flops, name).toBe(trainingFlops(modelOf(recipe), recipe.train.batch, recipe.data.length));
    }
  });

  test('three microbatches hold two sets of gradients at most', () => {
    const arena = (accumulate: number): number => {
      const { train, ...tiny } = RECIPES['tiny']!;
      return plan(fuse(programOf({ ...tiny, train: { ...train, accumulate } }))).bytes;
    };
    expect(arena(6)).toBeLessThan(1.15 * arena(2));
  });
});
