import { expect, test } from 'vitest';
import { decimal, inPercent, percent, range, whole } from './numbers.ts';

test('numbers are printed with about three significant digits and a true minus', () => {
  expect([0, 1, 0.5123, 0.01234, -0.01234, 12.34, 1234.4, 1.7e-5, 2e6].map(decimal)).toEqual([
    '0.000',
    '1.000',
    '0.512',
    '0.0123',
    '−0.0123',
    '12.3',
    '1234',
    '1.7e−5',
    '2.0e+6',
  ]);
  expect([0, 0.0012, 0.123, 1].map(percent)).toEqual(['0.0\u00a0%', '0.12\u00a0%', '12.3\u00a0%', '100.0\u00a0%']);
  expect(whole(1234567)).toBe('1,234,567');
});

test('what could not be counted is a dash, before and after JSON', () => {
  for (const nothing of [NaN, null, undefined]) {
    expect([decimal(nothing), percent(nothing), whole(nothing)]).toEqual(['–', '–', '–']);
  }
  expect([range({ low: NaN, high: 1 }), inPercent({ low: 0, high: NaN })]).toEqual(['–', '–']);
  expect([decimal(Infinity), decimal(-Infinity)]).toEqual(['∞', '−∞']);
});
