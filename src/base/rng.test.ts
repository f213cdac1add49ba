import { expect, test } from 'vitest';
import { rng } from './index.ts';

const N = 20_000;
const draws = (f: (i: number) => number): number[] => Array.from({ length: N }, (_, i) => f(i));
const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;

test('a number is a function of seed, path and index alone', () => {
  expect(rng(1).at('a', 2).u32(3)).toBe(rng(1).at('a', 2).u32(3));
  const others = [
    rng(2).at('a', 2).u32(3),
    rng(1).at('b', 2).u32(3),
    rng(1).at('a', 3).u32(3),
    rng(1).at('a', 2).u32(4),
    rng(1).at('a').at('x', 2).u32(3),
    rng(2 ** 40 + 1)
      .at('a', 2)
      .u32(3),
  ];
  expect(new Set([rng(1).at('a', 2).u32(3), ...others]).size).toBe(7);
});

test('uniform numbers fill [0,1) evenly and normal ones have mean 0 and variance 1, within five standard errors', () => {
  const u = draws((i) => rng(5).at('u').uniform(i));
  expect(Math.abs(mean(u) - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / N));
  const z = draws((i) => rng(5).at('z').normal(i));
  expect(Math.abs(mean(z))).toBeLessThan(5 / Math.sqrt(N));
  expect(Math.abs(mean(z.map((x) => x * x)) - 1)).toBeLessThan(5 * Math.sqrt(2 / N));
  expect(Math.abs(mean(z.map((x, i) => x * z[(i + 1) % N]!)))).toBeLessThan(5 / Math.sqrt(N));
});

test('below(n) reaches every value about equally', () => {
  const counts = new Array<number>(7).fill(0);
  for (const x of draws((i) => rng(9).below(7, i))) counts[x]!++;
  for (const c of counts) expect(Math.abs(c - N / 7)).toBeLessThan(5 * Math.sqrt(N / 7));
});
