import { describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { jackknife, percentiles, resamples } from './interval.ts';
import { zeros } from './load.ts';

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

describe('jackknife', () => {
  test('of a mean is the classical t interval', () => {
    const xs = Array.from({ length: 16 }, (_, i) => rng(1).normal(i));
    const { x } = jackknife(
      { x: mean(xs) },
      xs.map((_, g) => ({ x: mean(xs.filter((_unused, i) => i !== g)) })),
    );
    const se = Math.sqrt(xs.reduce((sum, v) => sum + (v - mean(xs)) ** 2, 0) / 15 / 16);
    expect(x.high - x.value).toBeCloseTo(2.131 * se, 12);
    expect(x.value - x.low).toBeCloseTo(2.131 * se, 12);
  });

  test('contains the truth in about 95 of 100 draws', () => {
    let hits = 0;
    for (let draw = 0; draw < 1000; draw++) {
      const xs = Array.from({ length: 8 }, (_, i) => rng(draw).at('draw').normal(i));
      const { x } = jackknife(
        { x: mean(xs) },
        xs.map((_, g) => ({ x: mean(xs.filter((_unused, i) => i !== g)) })),
      );
      if (x.low < 0 && x.high > 0) hits++;
    }
    expect(hits).toBeGreaterThan(930);
    expect(hits).toBeLessThan(970);
  });

  test('one block has no interval', () => {
    expect(jackknife({ x: 1 }, [{ x: 1 }]).x.low).toBeNaN();
  });
});

describe('bootstrap', () => {
  test('draws depend on seed, name and n alone', () => {
    const draw = (seed: number, name: string): Int32Array => resamples(9, { seed, name })[17]!;
    expect(draw(3, 'a')).toEqual(draw(3, 'a'));
    expect(draw(3, 'a')).not.toEqual(draw(3, 'b'));
    expect(draw(3, 'a')).not.toEqual(draw(4, 'a'));
  });

  test('draws every group equally often', () => {
    const counts = zeros(5);
    for (const draw of resamples(5, { seed: 1, name: 'even' })) for (const g of draw) counts[g]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120); // 4 standard deviations
  });

  test('percentiles interpolate between order statistics', () => {
    const { low, high } = percentiles(
      50,
      Array.from({ length: 101 }, (_, i) => 100 - i),
    );
    expect(low).toBeCloseTo(2.5, 12);
    expect(high).toBeCloseTo(97.5, 12);
  });
});
