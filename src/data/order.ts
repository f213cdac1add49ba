/** The order of rows: a keyed permutation for each epoch, evaluated at one point at a time. */
import { invariant, mix32, type Rng } from '../base/index.ts';

const ROUNDS = 6;

/**
 * Image of `i` under a permutation of [0, n) that `random` keys. Balanced Feistel network over the least even number of bits that
 * holds n, walked until it lands inside (Black & Rogaway 2002, "Ciphers with arbitrary finite domains"); constant memory.
 */
export function permuted(i: number, n: number, random: Rng): number {
  invariant(i >= 0 && i < n && n <= 2 ** 30, `permuted(${i}, ${n})`);
  let half = 1;
  while (2 ** (2 * half) < n) half++;
  const mask = 2 ** half - 1;
  let x = i;
  do {
    let [left, right] = [x >>> half, x & mask];
    for (let round = 0; round < ROUNDS; round++)
      [left, right] = [right, left ^ (mix32((right + Math.imul(round + 1, 0x9e3779b9)) ^ random.u32(round)) & mask)];
    x = (left << half) | right;
  } while (x >= n);
  return x;
}

/** Row numbers of a step: each epoch is its own permutation, and an epoch may end inside a step. A pure function of its arguments. */
export function rowsOfStep(
  rows: number,
  { random, step, batch }: { readonly random: Rng; readonly step: number; readonly batch: number },
): number[] {
  return Array.from({ length: batch }, (_, b) => {
    const drawn = step * batch + b;
    return permuted(drawn % rows, rows, random.at('epoch', Math.floor(drawn / rows)));
  });
}
