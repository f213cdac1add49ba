import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from './errors.ts';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatShare,
  parseBytes,
  parseCount,
  parseDuration,
  parseShare,
  sparkline,
} from './text-format.ts';

describe('what people write is read', () => {
  test.each([
    ['2k', 2000],
    ['25.6m', 25_600_000],
    ['1b', 1e9],
    ['1B', 1e9],
    ['0', 0],
    ['1_000', 1000],
    ['3e6', 3e6],
    ['1.1k', 1100],
    ['4.35m', 4_350_000],
  ])('count %s', (text, count) => expect(parseCount(text, 'x')).toBe(count));

  test.each([
    ['4G', 4 * 2 ** 30],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['4GB', 4e9],
    ['512', 512],
    ['64k', 65536],
    ['7b', 7],
    ['1 MiB', 2 ** 20],
  ])('bytes %s', (text, bytes) => expect(parseBytes(text, 'x')).toBe(bytes));

  test.each([
    ['90s', 90],
    ['25m', 1500],
    ['1h30m', 5400],
    ['1h 30m', 5400],
    ['500ms', 0.5],
    ['12', 12],
    ['1.5h', 5400],
    ['2d', 172800],
  ])('duration %s', (text, seconds) => expect(parseDuration(text, 'x')).toBe(seconds));

  test.each([
    ['50%', 0.5],
    ['0.5', 0.5],
    ['100%', 1],
    ['0', 0],
  ])('share %s', (text, share) => expect(parseShare(text, 'x')).toBe(share));
});

describe('anything else is refused with an example', () => {
  const readers = { parseCount, parseBytes, parseDuration, parseShare };
  const wrong: Readonly<Record<keyof typeof readers, readonly string[]>> = {
    parseCount: ['', 'k', '1.5', '2x', '-3', '1e99', '9999t', 'NaN', '0x10', '1__0'],
    parseBytes: ['', 'G', '4X', '-1', '4GiBB', 'Infinity'],
    parseDuration: ['', 'm', '5 parsecs', '30m1h', '1m1m', '-5s', '1h30'],
    parseShare: ['', '101%', '1.5', '-1%', '%', '50 %%'],
  };
  for (const [name, read] of Object.entries(readers)) {
    test.each(wrong[name as keyof typeof readers])(`${name} %j`, (text) =>
      expect(() => read(text, 'flag --x')).toThrow(/E_NUMBER.*flag --x.*write/),
    );
    test(`${name} throws nothing but UserError and returns nothing but a finite number ≥ 0`, () => {
      fc.assert(
        fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{1,6}[kmgbtshd%ie]{0,3}$/)), (text) => {
          try {
            const value = read(text, 'x');
            expect(Number.isFinite(value) && value >= 0).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        }),
      );
    });
  }
});

describe('what is printed', () => {
  test.each([
    [0, '0'],
    [999, '999'],
    [1000, '1k'],
    [25_600_000, '25.6m'],
    [999_700, '1m'],
    [1_048_576, '1.05m'],
    [2.5, '2.5'],
    [-1500, '-1.5k'],
    [NaN, 'NaN'],
  ])('count %d → %s', (count, text) => expect(formatCount(count)).toBe(text));
  test.each([
    [512, '512 B'],
    [1000, '0.977 KiB'],
    [1024, '1 KiB'],
    [1.5 * 2 ** 30, '1.5 GiB'],
    [2 ** 20 - 1, '1 MiB'],
  ])('bytes %d → %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
  test.each([
    [0.85, '850ms'],
    [9.5, '9.5s'],
    [59.6, '1m 00s'],
    [1503, '25m 03s'],
    [3599.7, '1h 00m'],
    [3900, '1h 05m'],
    [86399, '1d 00h'],
    [187_200, '2d 04h'],
    [0.9999, '1s'],
  ])('duration %d → %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));
  test.each([
    [0.003, '0.3%'],
    [0.1234, '12.3%'],
    [1, '100%'],
  ])('share %d → %s', (share, text) => expect(formatShare(share)).toBe(text));

  test('a printed count is read back within its three digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 14 }), (count) => {
        expect(Math.abs(parseCount(formatCount(count), 'x') - count)).toBeLessThanOrEqual(count * 0.005);
      }),
    );
  });
});

describe('a sparkline', () => {
  test('runs from lowest to highest', () => expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8)).toBe('▁▂▃▄▅▆▇█'));
  test('is flat where nothing changes', () => expect(sparkline([3, 3, 3], 10)).toBe('▁▁▁'));
  test('shows a gap where no value is finite', () => expect(sparkline([0, NaN, 1], 3)).toBe('▁ █'));
  test('averages what does not fit', () => expect(sparkline([0, 0, 7, 7], 2)).toBe('▁█'));
  test('is empty without values or room', () => expect([sparkline([], 5), sparkline([1], 0)]).toEqual(['', '']));
});
