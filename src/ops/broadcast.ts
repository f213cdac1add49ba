/** broadcast: axes of size 1 repeat; `aligned` brings two operands to one shape as numpy does. */
import { op, rules, sameShape, type Shape, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { reduceSum } from './reduce.ts';
import { reshape } from './reshape.ts';
import { dot, strides, walk } from './strides.ts';

interface BroadcastAttrs {
  readonly shape: Shape;
}
const broadcastOp = op(
  'broadcast',
  { x: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { shape: 'wholes' },
    broadcast: true,
    infer(x, { shape }: BroadcastAttrs) {
      const from = x['x']!.shape;
      if (from.length !== shape.length || from.some((d, i) => d !== 1 && d !== shape[i]))
        throw new TypeError(`[broadcast] x: [${from}] does not stretch to [${shape}]`);
      return { y: { dtype: x['x']!.dtype, shape } };
    },
  },
);
rules(broadcastOp, {
  vjp: ({ x }, { y: dy }) => ({
    x: reduceSum(
      dy!,
      x.shape.flatMap((d, axis) => (d === 1 && dy!.shape[axis] !== 1 ? [axis] : [])),
    ),
  }),
  ref({ x }, { y }, { shapes }) {
    const steps = strides(shapes.x).map((s, axis) => (shapes.x[axis] === 1 ? 0 : s));
    walk(shapes.y, (n, at) => (y[n] = x[dot(at, steps)]!));
  },
  simplify: ({ x }, { shape }) => (sameShape(x.shape, shape) ? { y: x } : undefined),
  cases: [
    { about: 'row and column', inputs: { x: f(1, 5, 1) }, attrs: { shape: [3, 5, 7] } },
    { about: 'scalar', inputs: { x: f(1, 1) }, attrs: { shape: [4, 9] } },
    { about: 'to nothing', inputs: { x: f(1, 3) }, attrs: { shape: [0, 3] } },
  ],
});

/** Stretches x to `shape`; missing leading axes are added. Throws TypeError where an axis is neither 1 nor equal. */
export function broadcast(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const padded = [...new Array<number>(Math.max(0, shape.length - x.shape.length)).fill(1), ...x.shape];
  return broadcastOp({ x: reshape(x, padded) }, { shape }).y;
}

/** Both operands at their common shape (numpy's rule: align right, 1 stretches). */
export function aligned(a: Tensor, b: Tensor): [Tensor, Tensor] {
  if (sameShape(a.shape, b.shape)) return [a, b];
  const rank = Math.max(a.shape.length, b.shape.length);
  const axis = (t: Tensor, i: number): number => t.shape[t.shape.length - rank + i] ?? 1;
  const shape = Array.from({ length: rank }, (_, i) => (axis(a, i) === 1 ? axis(b, i) : axis(a, i)));
  return [broadcast(a, shape), broadcast(b, shape)];
}
