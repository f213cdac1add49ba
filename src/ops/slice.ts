/** slice, pad, concat: rectangles of an array. */
import { op, requireAxes, rules, type Shape, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { dot, strides, walk } from './strides.ts';

interface SliceAttrs {
  readonly start: Shape;
  readonly size: Shape;
}
const sliceOp = op(
  'slice',
  { x: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { start: 'wholes', size: 'wholes' },
    picks: ['x'],
    infer(x, { start, size }: SliceAttrs) {
      const { dtype, shape } = x['x']!;
      if (start.length !== shape.length || size.length !== shape.length || shape.some((d, a) => start[a]! < 0 || start[a]! + size[a]! > d))
        throw new TypeError(`[slice] start [${start}] size [${size}] lies outside x [${shape}]`);
      return { y: { dtype, shape: size } };
    },
  },
);
rules(sliceOp, {
  vjp: ({ x }, { y: dy }, _, { start, size }) => ({
    x: pad(
      dy!,
      start,
      x.shape.map((d, a) => d - start[a]! - size[a]!),
      0,
    ),
  }),
  ref({ x }, { y }, { shapes, attrs }) {
    const steps = strides(shapes.x);
    const base = dot(attrs.start, steps);
    walk(shapes.y, (n, at) => (y[n] = x[base + dot(at, steps)]!));
  },
  simplify: ({ x }, { size }) => (size.join() === x.shape.join() ? { y: x } : undefined),
  cases: [
    { about: 'inner', inputs: { x: f(7, 9, 5) }, attrs: { start: [2, 3, 0], size: [4, 5, 5] } },
    { about: 'empty', inputs: { x: f(7, 9) }, attrs: { start: [2, 3], size: [0, 5] } },
  ],
});
/** The rectangle that begins at `start` and has shape `size`. */
export const slice = (x: Tensor, start: Shape, size: Shape): Tensor => sliceOp({ x }, { start, size }).y;
/** The part [from, from + size) of one axis. */
export const sliceAxis = (x: Tensor, axis: number, { from, size }: { from: number; size: number }): Tensor =>
  slice(
    x,
    x.shape.map((_, a) => (a === axis ? from : 0)),
    x.shape.map((d, a) => (a === axis ? size : d)),
  );

interface PadAttrs {
  readonly before: Shape;
  readonly after: Shape;
  readonly value: number;
}
const padOp = op(
  'pad',
  { x: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { before: 'wholes', after: 'wholes', value: 'number' },
    infer(x, { before, after }: PadAttrs) {
      const { dtype, shape } = x['x']!;
      for (const list of [before, after]) requireAxes('pad', shape, list);
      return { y: { dtype, shape: shape.map((d, a) => before[a]! + d + after[a]!) } };
    },
  },
);
rules(padOp, {
  vjp: ({ x }, { y: dy }, _, { before }) => ({ x: slice(dy!, before, x.shape) }),
  ref({ x }, { y }, { shapes, attrs }) {
    y.fill(attrs.value);
    const steps = strides(shapes.y);
    const base = dot(attrs.before, steps);
    walk(shapes.x, (n, at) => (y[base + dot(at, steps)] = x[n]!));
  },
  simplify: ({ x }, { before, after }) => ([...before, ...after].every((d) => d === 0) ? { y: x } : undefined),
  cases: [{ about: 'both sides', inputs: { x: f(3, 5) }, attrs: { before: [1, 0], after: [2, 4], value: 0.5 } }],
});
export const pad = (x: Tensor, before: Shape, after: Shape, value: number): Tensor => padOp({ x }, { before, after, value }).y;

interface ConcatAttrs {
  readonly axis: number;
}
const concatOp = op(
  'concat',
  { a: 'any[*]', b: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { axis: 'whole' },
    infer(x, { axis }: ConcatAttrs) {
      const { dtype, shape } = x['a']!;
      requireAxes('concat', shape, axis);
      const other = x['b']!;
      if (dtype !== other.dtype || shape.length !== other.shape.length || shape.some((d, i) => i !== axis && d !== other.shape[i]))
        throw new TypeError(`[concat] a [${shape}] and b [${other.shape}] differ beside axis ${axis}`);
      return { y: { dtype, shape: shape.map((d, i) => (i === axis ? d + other.shape[i]! : d)) } };
    },
  },
);
rules(concatOp, {
  vjp: ({ a, b }, { y: dy }, _, { axis }) => ({
    a: sliceAxis(dy!, axis, { from: 0, size: a.shape[axis]! }),
    b: sliceAxis(dy!, axis, { from: a.shape[axis]!, size: b.shape[axis]! }),
  }),
  ref({ a, b }, { y }, { shapes, attrs: { axis } }) {
    const steps = strides(shapes.y);
    walk(shapes.a, (n, at) => (y[dot(at, steps)] = a[n]!));
    const base = shapes.a[axis]! * steps[axis]!;
    walk(shapes.b, (n, at) => (y[base + dot(at, steps)] = b[n]!));
  },
  cases: [
    { about: 'columns', inputs: { a: f(5, 3), b: f(5, 9) }, attrs: { axis: 1 } },
    { about: 'rows, one empty', inputs: { a: f(0, 3), b: f(4, 3) }, attrs: { axis: 0 } },
  ],
});
export const concat = (parts: readonly Tensor[], axis: number): Tensor => parts.reduce((a, b) => concatOp({ a, b }, { axis }).y);
