/** Laws of training with products in bf16: it learns as in f32, and its bits depend on nothing but the recipe. */
import { describe, expect, test } from 'vitest';
import { RECIPES } from '../../recipes/index.ts';
import { rng } from '../base/index.ts';
import type { Batch } from '../data/index.ts';
import { type Executor, loadAddon, openCpu, openRef } from '../exec/index.ts';
import { checkRecipe, initialValues, modelOf, openSession, override, type Recipe, type Session } from './index.ts';

const SIZES = ['hidden=32', 'inner=48', 'layers=2', 'heads=2', 'headSize=16', 'experts=4', 'vocab=300', 'groupSize=16'];
const recipeIn = (precision: 'f32' | 'bf16'): Recipe => {
  const settings = [...SIZES.map((s) => `model.${s}`), 'tokenizer.vocab=300', 'data.length=16', 'train.batch=2', `precision=${precision}`];
  return checkRecipe(override(RECIPES['tiny']!, settings), 'test');
};
const half = recipeIn('bf16');

function batchOf({ train, data }: Recipe): Batch {
  const random = rng(4).at('batch');
  const size = train.batch * data.length;
  const ids = (name: string): Int32Array => Int32Array.from({ length: size }, (_, i) => 1 + random.at(name).below(299, i));
  const constant = { segments: new Int32Array(size).fill(1), weights: new Float32Array(size).fill(1), domains: new Int32Array(size) };
  return { tokens: ids('tokens'), targets: ids('targets'), ...constant };
}

async function opened(recipe: Recipe, executor: Executor): Promise<Session> {
  const session = await openSession(modelOf(recipe), recipe, executor);
  session.restore({ parameters: initialValues(modelOf(recipe), 1) });
  return session;
}

/** Losses of the steps [from, to) on one batch. */
async function steps(session: Session, recipe: Recipe, from: number, to: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = from; step < to; step++) losses.push((await session.step(batchOf(recipe), step)).crossEntropy);
  return losses;
}

const names = (session: Session): string[] => [...Object.keys(session.weights), ...session.slots.keys()];
const bits = (session: Session): Map<string, Float32Array> => new Map(names(session).map((n) => [n, session.read(n)]));

test('losses follow those of f32 within one in a hundred, and fall', async () => {
  const [full, rounded] = await Promise.all(
    [recipeIn('f32'), half].map(async (recipe) => steps(await opened(recipe, openRef()), recipe, 0, 5)),
  );
  rounded!.forEach((loss, i) => expect(Math.abs(loss / full![i]! - 1)).toBeLessThan(0.01));
  expect(rounded).not.toEqual(full);
  expect(rounded!.at(-1)).toBeLessThan(rounded![0]!);
});

function isas(): string[] {
  try {
    return loadAddon()
      .info()
      .isas.filter((i) => i.present)
      .map((i) => i.name);
  } catch (error) {
    console.log(`skipped: ${String(error)}`);
    return [];
  }
}

describe.each(isas())('on %s', (isa) => {
  const withThreads = async <T>(threads: number, work: (executor: Executor) => Promise<T>): Promise<T> => {
    const before = process.env['OPENMOE_ISA'];
    process.env['OPENMOE_ISA'] = isa;
    const executor = openCpu({ threads });
    if (before === undefined) delete process.env['OPENMOE_ISA'];
    else process.env['OPENMOE_ISA'] = before;
    return work(executor).finally(() => executor.close());
  };

  test('1, 2, 3 and 7 threads end with the same bits', async () => {
    const run = (threads: number) =>
      withThreads(threads, async (executor) => {
        const session = await opened(half, executor);
        await steps(session, half, 0, 3);
        return bits(session);
      });
    const alone = await run(1);
    for (const threads of [2, 3, 7]) expect(await run(threads), `${threads} threads`).toEqual(alone);
  });

  test('a session restored from the f32 weights and state of another goes on with its bits', () =>
    withThreads(2, async (executor) => {
      const first = await opened(half, executor);
      await steps(first, half, 0, 2);
      const saved = bits(first);
      const kept = (keys: Iterable<string>) => new Map([...keys].map((k) => [k, saved.get(k)!]));
      const second = await openSession(modelOf(half), half, executor);
      second.restore({ parameters: kept(Object.keys(first.weights)), slots: kept(first.slots.keys()) });
      for (const session of [first, second]) await steps(session, half, 2, 4);
      expect(bits(second)).toEqual(bits(first));
    }));
});
