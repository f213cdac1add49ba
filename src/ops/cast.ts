/** cast: f32 to bf16, rounded to the nearest even, and back, which is exact. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import type { FloatType } from './product-type.ts';

interface CastAttrs {
  readonly bf16: number;
}
const castOp = op(
  'cast',
  { x: 'float[*]' },
  { y: 'float[*]' },
  {
    attrs: { bf16: 'flag' },
    converts: true,
    infer: (x, { bf16 }: CastAttrs) => ({ y: { dtype: bf16 ? 'bf16' : 'f32', shape: x['x']!.shape } }),
  },
);
rules(castOp, {
  vjp: ({ x }, { y: dy }) => ({ x: cast(dy!, x.dtype as FloatType) }),
  ref({ x }, { y }) {
    for (let n = 0; n < x.length; n++) y[n] = x[n]!;
  },
  simplify({ x }, { bf16 }) {
    if ((x.dtype === 'bf16') === (bf16 === 1)) return { y: x };
    const from = bf16 && x.node?.op.op === 'cast' ? x.node.inputs[0]! : undefined; // widened and rounded again
    return from?.dtype === 'bf16' ? { y: from } : undefined;
  },
  cases: [
    { about: 'to bf16', inputs: { x: f(5, 41) }, attrs: { bf16: 1 } },
    {
      about: 'ties, infinities, NaN and the largest numbers',
      inputs: { x: { shape: [8], dtype: 'f32', values: [1.00390625, 1.01171875, -1.00390625, Infinity, -Infinity, NaN, 3.4e38, 1e-40] } },
      attrs: { bf16: 1 },
      kink: true,
    },
    { about: 'to f32', inputs: { x: half(3, 67) }, attrs: { bf16: 0 } },
  ],
});

/** The same values as `dtype`; itself where it is that already. */
export const cast = (x: Tensor, dtype: FloatType): Tensor => (x.dtype === dtype ? x : castOp({ x }, { bf16: dtype === 'bf16' ? 1 : 0 }).y);
