/** transpose: axes in another order. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { dot, strides, walk } from './strides.ts';

interface TransposeAttrs {
  readonly perm: readonly number[];
}
const transposeOp = op(
  'transpose',
  { x: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { perm: 'wholes' },
    infer(x, { perm }: TransposeAttrs) {
      const { dtype, shape } = x['x']!;
      if ([...perm].sort((a, b) => a - b).join() !== shape.map((_, i) => i).join())
        throw new TypeError(`[transpose] perm: expected an order of ${shape.length} axes, got [${perm}]`);
      return { y: { dtype, shape: perm.map((p) => shape[p]!) } };
    },
  },
);
rules(transposeOp, {
  vjp: (_, { y: dy }, __, { perm }) => ({
    x: transpose(
      dy!,
      perm.map((_p, axis) => perm.indexOf(axis)),
    ),
  }),
  ref({ x }, { y }, { shapes, attrs: { perm } }) {
    const steps = strides(shapes.x);
    const from = perm.map((p) => steps[p]!);
    walk(shapes.y, (n, at) => (y[n] = x[dot(at, from)]!));
  },
  simplify: ({ x }, { perm }) => (perm.every((p, i) => p === i) ? { y: x } : undefined),
  cases: [
    { about: 'matrix', inputs: { x: f(37, 19) }, attrs: { perm: [1, 0] } },
    { about: 'heads', inputs: { x: f(2, 5, 3, 7) }, attrs: { perm: [0, 2, 1, 3] } },
  ],
});
export const transpose = (x: Tensor, perm: readonly number[]): Tensor => transposeOp({ x }, { perm }).y;
