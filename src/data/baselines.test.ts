import { expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { baselines, countPairs, kneserNey, unigram } from './baselines.ts';
import type { Batch } from './batch.ts';

const V = 40;
/** One row per list, each one segment. */
const batchOf = (rows: readonly (readonly number[])[]): Batch => {
  const targets = rows.flat();
  return {
    targets: Int32Array.from(targets),
    tokens: Int32Array.from(rows.flatMap((r) => [0, ...r.slice(0, -1)])),
    segments: new Int32Array(targets.length).fill(1),
    weights: new Float32Array(targets.length).fill(1),
    domains: new Int32Array(targets.length),
  };
};
/** A chain in which 3/4 of the successors are fixed by their predecessor. */
const chain = (key: string, n: number): number[] => {
  const random = rng(3).at(key);
  const ids = [1];
  for (let i = 1; i < n; i++) ids.push(random.uniform(i) < 0.75 ? (ids[i - 1]! * 7 + 1) % 20 : 1 + random.below(20, n + i));
  return ids;
};

test('bigram probabilities sum to 1 over the vocabulary after every context, seen or not', () => {
  const p = kneserNey(countPairs([batchOf([chain('a', 500), chain('b', 300)])], V));
  for (let context = 0; context < V; context++) {
    let sum = 0;
    for (let target = 0; target < V; target++) {
      expect(p(context, target)).toBeGreaterThan(0);
      sum += p(context, target);
    }
    expect(sum).toBeCloseTo(1, 12);
  }
});

test('unigram probabilities sum to 1', () => {
  const p = unigram(countPairs([batchOf([chain('a', 500)])], V));
  expect(Array.from({ length: V }, (_, w) => p(w)).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
});

test('Kneser–Ney by hand: 2 3 2 3 2 4 2 after 0', () => {
  // Pairs: 02 once, 23 twice, 32 twice, 24 once, 42 once: n₁ = 3, n₂ = 2, D = 3/7.
  // Precursors: 2 has {0,3,4}, 3 has {2}, 4 has {2}: n₁ = 2, n₂ = 0, D' = 1/2; N₁₊(·) = 3, N₁₊(··) = 5.
  const p = kneserNey(countPairs([batchOf([[2, 3, 2, 3, 2, 4, 2]])], 8));
  const lower = (m: number): number => (Math.max(m - 0.5, 0) + (0.5 * 3) / 8) / 5;
  expect(p(7, 2)).toBeCloseTo(lower(3), 15);
  expect(p(7, 5)).toBeCloseTo(lower(0), 15);
  expect(p(2, 3)).toBeCloseTo((2 - 3 / 7 + (3 / 7) * 2 * lower(1)) / 3, 15);
  expect(p(2, 2)).toBeCloseTo(((3 / 7) * 2 * lower(3)) / 3, 15);
  expect(p(0, 2)).toBeCloseTo(1 - 3 / 7 + (3 / 7) * lower(3), 15);
});

test('on a chain with a known entropy rate the bigram comes near it, the unigram does not', () => {
  const {
    unigram: one,
    bigram: two,
    trainTokens,
    validationTokens,
  } = baselines([batchOf([chain('train', 40_000)])], [batchOf([chain('validation', 4000)])], V);
  // Twenty ids: the fixed successor with 3/4 + 1/80, each other with 1/80, but for ids 0 and 20, which come by rule or by chance alone.
  const rate = -(0.7625 * Math.log(0.7625) + 19 * 0.0125 * Math.log(0.0125));
  expect(Math.abs(two - rate)).toBeLessThan(0.05);
  expect(one - two).toBeGreaterThan(0.8);
  expect([trainTokens, validationTokens]).toEqual([40_000, 4000]);
});

test('targets of weight 0 are neither counted nor predicted', () => {
  const batch = batchOf([[2, 3, 4, 5]]);
  batch.weights.fill(0, 2);
  const counts = countPairs([batch], V);
  expect([counts.total, counts.targets[2], counts.targets[4], counts.pairs.size]).toEqual([2, 1, 0, 2]);
  expect(baselines([batch], [batch], V).validationTokens).toBe(2);
});

test('with nothing to count both predict uniformly', () => {
  const nothing = baselines([], [batchOf([[2, 3]])], V);
  expect(nothing.unigram).toBeCloseTo(Math.log(V), 12);
  expect(nothing.bigram).toBeCloseTo(Math.log(V), 12);
});
