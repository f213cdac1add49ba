import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { permuted, rowsOfStep } from './order.ts';

const order = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => permuted(i, n, rng(seed)));

test('every size from 1 to 300, and some large ones, is permuted one to one', () => {
  for (const n of [...Array.from({ length: 300 }, (_, i) => i + 1), 4095, 4096, 4097, 19_076]) expect(new Set(order(n, 5)).size).toBe(n);
});

test('the order looks random: a row lands anywhere, neighbours part, seeds differ', () => {
  const n = 10_000;
  const first = order(n, 1);
  const second = order(n, 2);
  const correlation = (a: readonly number[], b: readonly number[]): number => {
    const mean = (n - 1) / 2;
    return a.reduce((s, x, i) => s + (x - mean) * (b[i]! - mean), 0) / ((n * (n * n - 1)) / 12);
  };
  const identity = first.map((_, i) => i);
  // The standard error of a correlation is 0.01.
  for (const [a, b] of [
    [first, identity],
    [first, second],
    [first, [...first.slice(1), first[0]!]],
  ] as const)
    expect(Math.abs(correlation(a, b))).toBeLessThan(0.04);
  const bins = Array.from({ length: 10 }, () => 0);
  for (const x of first.slice(0, 1000)) bins[Math.floor(x / 1000)]!++;
  for (const count of bins) expect(Math.abs(count - 100)).toBeLessThan(40);
});

test('no row is read again before all were, whatever the batch, and each epoch has its own order', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 }), fc.nat(1000), (rows, batch, seed) => {
      const random = rng(seed);
      const drawn = Array.from({ length: Math.ceil((3 * rows) / batch) }, (_, step) => rowsOfStep(rows, { random, step, batch })).flat();
      for (let epoch = 0; epoch < 3; epoch++) expect(new Set(drawn.slice(epoch * rows, (epoch + 1) * rows)).size).toBe(rows);
      if (rows > 20) expect(drawn.slice(0, rows)).not.toEqual(drawn.slice(rows, 2 * rows));
    }),
  );
});
