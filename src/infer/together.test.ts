/** Prompts continued together give what each gives alone, unless they are one routing group. */
import { describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { openRef } from '../exec/index.ts';
import {
  type Buffers,
  continueTogether,
  type Continuing,
  GREEDY,
  openLanguageModel,
  openmoe,
  OPENMOE_DEFAULTS,
  penalised,
  sizeOf,
} from './index.ts';

const executor = openRef();
const model = (capacityFactorEval: number, dialect: 'jax' | 'torch' = 'torch') =>
  openmoe({
    ...OPENMOE_DEFAULTS,
    vocab: 60,
    hidden: 16,
    inner: 16,
    layers: 2,
    heads: 2,
    headSize: 8,
    moeInterval: 2,
    experts: 4,
    maxPositions: 24,
    capacityFactorEval,
    dialect,
    referenceGroups: dialect === 'jax',
    groupSize: 64,
  });
const weights: Buffers = Object.fromEntries(
  model(1).list.map((p) => {
    const random = rng(5).at(p.path);
    const values = Float32Array.from({ length: sizeOf(p.shape) }, (_, i) => (p.shape.length === 1 ? 1 : 0.5 * random.normal(i)));
    return [p.path, executor.put(values, { dtype: 'f32', shape: p.shape })];
  }),
);
const prompts = [[0, 5, 17, 20], [0, 7], [0], [0, 9, 11, 25, 3, 8, 40]];
const free: Continuing = { ...GREEDY, maxTokens: 6, seed: 3, cache: true, allowed: () => true, ends: () => false };

async function written(
  which: readonly (readonly number[])[],
  more: Partial<Continuing> = {},
  { capacity = 2, group = 'row', dialect = 'torch' }: { capacity?: number; group?: 'row' | 'batch'; dialect?: 'jax' | 'torch' } = {},
): Promise<{ ids: number[][]; logits: number[][] }> {
  const lm = openLanguageModel(model(capacity, dialect), executor, weights, { group });
  const [ids, logits]: [number[][], number[][]] = [which.map(() => []), which.map(() => [])];
  for await (const step of continueTogether(lm, which, { ...free, ...more }))
    step.ids.forEach((id, r) => {
      if (id < 0) return;
      ids[r]!.push(id);
      logits[r]!.push(...step.reads[r]!.logits());
    });
  lm.close();
  return { ids, logits };
}

describe('prompts as routing groups of their own', () => {
  test.each([
    ['greedy', {}],
    ['sampled', { temperature: 1.2, topK: 20, topP: 0.9, repetitionPenalty: 1.3 }],
    ['without cache', { cache: false, temperature: 0.7 }],
  ])('give together, to the bit, what each gives alone: %s', async (_, more) => {
    const together = await written(prompts, more);
    for (const [r, prompt] of prompts.entries()) {
      const alone = await written([prompt], more);
      expect(together.ids[r]).toEqual(alone.ids[0]);
      expect(together.logits[r]).toEqual(alone.logits[0]);
    }
  });
  test('rest once they have ended, or filled the context, while others go on', async () => {
    const ends = (row: number): boolean => row === 1;
    const { ids } = await written(prompts, { ends, maxTokens: 40 });
    expect(ids.map((row) => row.length)).toEqual([20, 1, 23, 17]);
  });
});

test('with slots for all, keeping keys and values changes no id, in one routing group as in many', async () => {
  // Of equal length in one group: [T] turns the queries of shorter rows by another place than their keys.
  for (const [group, some] of [
    ['row', prompts],
    ['batch', prompts.map((prompt) => prompt.slice(0, 1))],
  ] as const) {
    const kept = await written(some, {}, { capacity: 100, group });
    expect((await written(some, { cache: false }, { capacity: 100, group })).ids).toEqual(kept.ids);
    expect((await written(some, {}, { capacity: 100 })).ids).toEqual(kept.ids);
  }
});

describe('one routing group', () => {
  const crowd = [
    [0, 5, 5, 5, 5, 5, 5, 5],
    [0, 5, 5, 5, 5, 5, 5, 5],
    [0, 5, 5, 5, 5, 5, 5, 5],
  ];
  test('has rows compete for slots', async () => {
    const alone = await written(crowd, { maxTokens: 1 }, { capacity: 0.5 });
    const together = await written(crowd, { maxTokens: 1 }, { capacity: 0.5, group: 'batch' });
    expect(alone.logits[2]).toEqual(alone.logits[0]);
    expect(together.logits[2]).not.toEqual(together.logits[0]);
  });
  test('in JAX reads the last token again, where nothing is dropped, whatever the padding', async () => {
    const how = { lastAgain: true, padTo: 16 };
    const { ids } = await written(prompts, { how }, { dialect: 'jax', group: 'batch', capacity: 100 });
    expect(ids).toEqual((await written(prompts, {}, { capacity: 100 })).ids);
  });
});

test('a prompt beyond the context is refused', async () => {
  await expect(written([Array.from({ length: 25 }, () => 1)])).rejects.toMatchObject({ code: 'E_CONTEXT_FULL', exit: 5 });
});

test('a repetition penalty divides logits above zero and multiplies those below, once for each id', () => {
  const logits = Float32Array.of(2, -2, 4);
  expect([...penalised(logits, [0, 1, 0, 99], { ...GREEDY, repetitionPenalty: 2 })]).toEqual([1, -4, 4]);
  expect(penalised(logits, [0], GREEDY)).toBe(logits);
});
