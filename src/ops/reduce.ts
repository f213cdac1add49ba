/** reduce_sum, reduce_max: over axes that stay with size 1; `sum` and `mean` drop them. */
import { op, requireAxes, rules, sizeOf, type Numbers, type Shape, type Tensor } from '../graph/index.ts';
import { broadcast } from './broadcast.ts';
import { f, i } from './cases.ts';
import { equal, mul, select } from './elementwise.ts';
import { reshape } from './reshape.ts';
import { dot, strides, walk } from './strides.ts';
import { scalar } from './constant.ts';

interface ReduceAttrs {
  /** One 0 or 1 per axis. */
  readonly axes: readonly number[];
}
const declare = (name: 'reduce_sum' | 'reduce_max') =>
  op(
    name,
    { x: 'any[*]' },
    { y: 'any[*]' },
    {
      attrs: { axes: 'flags' },
      infer(x, { axes }: ReduceAttrs) {
        requireAxes(name, x['x']!.shape, axes);
        return { y: { dtype: x['x']!.dtype, shape: x['x']!.shape.map((d, a) => (axes[a] ? 1 : d)) } };
      },
    },
  );
const fold = (
  x: Numbers,
  y: Numbers,
  shapes: { readonly x: Shape; readonly y: Shape },
  axes: readonly number[],
  join: (a: number, b: number) => number,
) => {
  const steps = strides(shapes.y).map((s, axis) => (axes[axis] ? 0 : s));
  walk(shapes.x, (n, at) => {
    const to = dot(at, steps);
    y[to] = join(y[to]!, x[n]!);
  });
};
const cases = [
  { about: 'last axis', inputs: { x: f(5, 37) }, attrs: { axes: [0, 1] } },
  { about: 'first axis', inputs: { x: f(41, 7) }, attrs: { axes: [1, 0] } },
  { about: 'all', inputs: { x: f(3, 5, 7) }, attrs: { axes: [1, 1, 1] } },
  { about: 'middle', inputs: { x: f(3, 5, 7) }, attrs: { axes: [0, 1, 0] } },
  { about: 'nothing to fold', inputs: { x: f(3, 0) }, attrs: { axes: [0, 1] } },
  { about: 'integers', inputs: { x: i(9, 4, 33) }, attrs: { axes: [0, 1] } },
];

const sumOp = declare('reduce_sum');
rules(sumOp, {
  vjp: ({ x }, { y: dy }) => ({ x: broadcast(dy!, x.shape) }),
  ref: ({ x }, { y }, { shapes, attrs }) => fold(x, y, shapes, attrs.axes, (a, b) => a + b),
  simplify: ({ x }, { axes }) => (axes.every((a, n) => !a || x.shape[n] === 1) ? { y: x } : undefined),
  cases,
});
const maxOp = declare('reduce_max');
rules(maxOp, {
  vjp: ({ x }, { y: dy }, { y }) => ({
    x: select(equal(x, broadcast(y, x.shape)), broadcast(dy!, x.shape), broadcast(scalar(0), x.shape)),
  }),
  ref({ x }, { y }, { shapes, attrs }) {
    y.fill(x instanceof Int32Array ? -(2 ** 31) : -Infinity);
    fold(x, y, shapes, attrs.axes, Math.max);
  },
  cases,
});

const flags = (x: Tensor, axes: readonly number[]): number[] => x.shape.map((_, a) => Number(axes.includes(a)));
const without = (x: Tensor, axes: readonly number[]): Shape => x.shape.filter((_, a) => !axes.includes(a));
const every = (x: Tensor): number[] => x.shape.map((_, a) => a);

/** Sum over axes that stay with size 1. */
export const reduceSum = (x: Tensor, axes: readonly number[]): Tensor => sumOp({ x }, { axes: flags(x, axes) }).y;
/** Maximum over axes that stay with size 1; ties share the gradient undivided. */
export const reduceMax = (x: Tensor, axes: readonly number[]): Tensor => maxOp({ x }, { axes: flags(x, axes) }).y;
/** Sum over axes (all by default), which disappear. */
export const sum = (x: Tensor, axes = every(x)): Tensor => reshape(reduceSum(x, axes), without(x, axes));
/** Mean over axes (all by default), which disappear. */
export const mean = (x: Tensor, axes = every(x)): Tensor => mul(sum(x, axes), 1 / sizeOf(axes.map((a) => x.shape[a]!)));
