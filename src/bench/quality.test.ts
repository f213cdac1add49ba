import { expect, test } from 'vitest';
import { pairedDifference } from './quality.ts';

const row = (sum: number, weight = 1) => ({ sum, weight });

test('rows that all differ by the same amount leave no doubt, whatever they differ among themselves', () => {
  const b = [row(3), row(30), row(300)];
  const { difference, low, high } = pairedDifference(
    b.map((r) => row(r.sum + 0.25)),
    b,
  );
  expect([difference, low, high].map((x) => Number(x.toFixed(9)))).toEqual([0.25, 0.25, 0.25]);
});

test('the interval is that of a mean: spread ÷ √n, around the difference a token', () => {
  const b = Array.from({ length: 400 }, () => row(1));
  const { difference, low, high } = pairedDifference(
    b.map((_, n) => row(1 + (n % 2 ? 0.3 : 0.1))),
    b,
  );
  expect(difference).toBeCloseTo(0.2, 9);
  expect(high - low).toBeCloseTo((2 * 1.96 * 0.1) / 20, 3);
});

test('a row counts by its tokens', () => {
  expect(pairedDifference([row(10, 10), row(2, 1)], [row(0, 10), row(0, 1)]).difference).toBeCloseTo(12 / 11, 9);
});
