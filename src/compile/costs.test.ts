import { expect, test } from 'vitest';
import { add, gather, matmul, mul, reshape, scalar } from '../ops/index.ts';
import { costOf, costsOf } from './costs.ts';
import { fuse } from './fuse.ts';
import { trace } from './trace.ts';

test('a product reads its operands, writes its result and multiplies M·N·K times; the same operand twice is read once', () => {
  const program = trace('products', { a: { shape: [4, 4] } }, ({ a }) => ({ results: { y: matmul(a!, a!) } }));
  expect(costsOf(program)).toEqual([{ flops: 2 * 64, read: 64, written: 64 }]);
});

test('of a table only the rows asked for are read, and a view moves nothing', () => {
  const program = trace('rows', { table: { shape: [1000, 8] }, ids: { shape: [3], dtype: 'i32' } }, ({ table, ids }) => ({
    results: { y: reshape(gather(table!, ids!), [24]) },
  }));
  expect(costsOf(program).map(({ read, written }) => [read, written])).toEqual([
    [3 * 8 * 4 + 3 * 4, 3 * 8 * 4],
    [0, 0],
  ]);
});

test('the whole program reads its arguments and writes its results: what lies between may stay in a cache, and fusing changes nothing', () => {
  const program = trace('chain', { a: { shape: [10] }, b: { shape: [10] } }, ({ a, b }) => ({
    results: { y: add(mul(a!, b!), scalar(1)) },
  }));
  expect(costOf(program)).toEqual({ flops: 0, read: 80, written: 40 });
  expect(costOf(fuse(program))).toEqual(costOf(program));
});
