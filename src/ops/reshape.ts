/** reshape: the same memory under another shape. */
import { op, rules, sameShape, sizeOf, type Shape, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';

interface ReshapeAttrs {
  readonly shape: Shape;
}
const reshapeOp = op(
  'reshape',
  { x: 'all[*]' },
  { y: 'all[*]' },
  {
    attrs: { shape: 'wholes' },
    view: true,
    infer(x, { shape }: ReshapeAttrs) {
      if (sizeOf(x['x']!.shape) !== sizeOf(shape)) throw new TypeError(`[reshape] x: [${x['x']!.shape}] has not the size of [${shape}]`);
      return { y: { dtype: x['x']!.dtype, shape } };
    },
  },
);
rules(reshapeOp, {
  vjp: ({ x }, { y: dy }) => ({ x: reshape(dy!, x.shape) }),
  ref({ x }, { y }) {
    for (let n = 0; n < x.length; n++) y[n] = x[n]!;
  },
  simplify({ x }, { shape }) {
    if (sameShape(x.shape, shape)) return { y: x };
    const inner = x.node?.op.op === reshapeOp.op ? x.node.inputs[0]! : undefined;
    return inner && { y: reshape(inner, shape) };
  },
  cases: [{ about: 'split an axis', inputs: { x: f(6, 35) }, attrs: { shape: [3, 2, 5, 7] } }],
});
export const reshape = (x: Tensor, shape: Shape): Tensor => (sameShape(x.shape, shape) ? x : reshapeOp({ x }, { shape }).y);
