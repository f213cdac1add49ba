import { expect, test } from 'vitest';
import { argument, op } from './index.ts';

const grouped = op('test_grouped', { x: 'f[T,D]', w: 'f[E,D,F]', sizes: 'i[E]' }, { y: 'f[T,F]' });
const x = argument('x', [64, 16]);
const sizes = argument('sizes', [8], { dtype: 'i32' });

test('letters bind to the shapes that arrive', () => {
  expect(grouped({ x, w: argument('w', [8, 16, 32]), sizes }).y).toMatchObject({ shape: [64, 32], dtype: 'f32' });
});

test('a shape that contradicts another says which, with whom, and about what', () => {
  expect(() => grouped({ x, w: argument('w', [8, 32, 32]), sizes })).toThrow(
    '[test_grouped] w: expected f[E,D,F] with D=16 (from x), got f32[8,32,32]',
  );
});

test('a wrong rank and a wrong dtype are refused', () => {
  expect(() => grouped({ x: argument('x', [64]), w: x, sizes })).toThrow('[test_grouped] x: expected f[T,D], got f32[64]');
  expect(() => grouped({ x, w: argument('w', [8, 16, 32]), sizes: argument('sizes', [8]) })).toThrow(
    '[test_grouped] sizes: expected i[E], got f32[8]',
  );
});
