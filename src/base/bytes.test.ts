import { expect, test } from 'vitest';
import { concat, f32FromF16 } from './bytes.ts';

test('halves become the numbers that they stand for', () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x3555, 0x7e00);
  expect([...f32FromF16(halves)]).toEqual([1, -2, 65504, 2 ** -24, Infinity, 0.333251953125, NaN]);
});

test('positive halves grow with their bit pattern', () => {
  const values = f32FromF16(Uint16Array.from({ length: 0x7c01 }, (_, i) => i));
  expect(values.every((x, i) => i === 0 || x > values[i - 1]!)).toBe(true);
});

test('concat keeps order', () => {
  expect([...concat([Uint8Array.of(0, 1), new Uint8Array(), Uint8Array.of(255)])]).toEqual([0, 1, 255]);
});
