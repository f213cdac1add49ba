import { describe, expect, test } from 'vitest';
import { bf16FromF32, concat, f16FromF32, f32FromBf16, f32FromF16, hex } from './bytes.ts';

const every = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNaNHalf = (h: number): boolean => (h & 0x7c00) === 0x7c00 && (h & 0x3ff) !== 0;

/** The nearest of all finite halves by exhaustive search of neighbours; even pattern wins a tie. */
function nearestBySearch(x: number, table: Float32Array): number {
  let [low, high] = [0, 0x7c00];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((middle === 0x7c00 ? 65536 : table[middle]!) <= x) low = middle;
    else high = middle;
  }
  const above = high === 0x7c00 ? 65536 : table[high]!;
  const [down, up] = [x - table[low]!, above - x];
  return down < up || (down === up && low % 2 === 0) ? low : high;
}

describe('f16', () => {
  test('every half survives the way to f32 and back', () => {
    const back = f16FromF32(f32FromF16(every));
    expect(every.filter((h) => !isNaNHalf(h) && back[h] !== h)).toEqual(new Uint16Array());
  });

  test('known values', () => {
    expect([...f32FromF16(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x3555))]).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      Infinity,
      0.333251953125,
    ]);
    expect([...f16FromF32(Float32Array.of(65519.996, 65520, -1e9, 2 ** -25, 2 ** -25 * 1.0001, NaN))]).toEqual([
      0x7bff, 0x7c00, 0xfc00, 0, 1, 0x7e00,
    ]);
  });

  test('rounds to the nearest half, ties to even', () => {
    const table = f32FromF16(every);
    const samples = new Float32Array(20_000);
    for (let i = 0; i < samples.length; i++) {
      const h = (i * 2654435761) % 0x7bff;
      const middle = (table[h]! + table[h + 1]!) / 2;
      samples[i] = [middle, middle * (1 + 2 ** -20), middle * (1 - 2 ** -20), table[h]! * 1.0003][i % 4]!;
    }
    const got = f16FromF32(samples);
    expect(samples.filter((x, i) => got[i] !== nearestBySearch(x, table))).toEqual(new Float32Array());
  });
});

describe('bf16', () => {
  test('every bf16 survives the way to f32 and back', () => {
    const back = bf16FromF32(f32FromBf16(every));
    expect(every.filter((h) => (h & 0x7fff) <= 0x7f80 && back[h] !== h)).toEqual(new Uint16Array());
  });

  test('ties go to even, NaN stays NaN, overflow becomes infinite', () => {
    const ties = new Float32Array(Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800001).buffer);
    expect([...bf16FromF32(ties)].map((h) => h.toString(16))).toEqual(['3f80', '3f82', '3f81', '7f80', '7fc0']);
  });
});

test('concat keeps order and hex keeps leading zeros', () => {
  expect(hex(concat([Uint8Array.of(0, 1), new Uint8Array(), Uint8Array.of(255)]))).toBe('0001ff');
});
