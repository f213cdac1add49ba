/** pack_weights: matrices brought to 16, 8 or 4 bits a weight, in the order in which products read them.   E matrices, K → N features. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import { PACKED_BITS, type PackedBits, packedShape, packMatrices } from './packing.ts';

interface PackAttrs {
  readonly bits: number;
  readonly sections: number;
}
const packOp = op(
  'pack_weights',
  { w: 'float[E,K,N]' },
  { y: 'q[*]' },
  {
    attrs: { bits: 'count', sections: 'count' },
    infer: (x, attrs: PackAttrs) => ({ y: { dtype: 'i8', shape: packedShape('pack_weights', { ...attrs, matrices: x['w']!.shape }) } }),
  },
);
rules(packOp, {
  ref: ({ w }, { y }, { shapes, attrs }) => packMatrices(w, y, { ...attrs, matrices: shapes.w }),
  cases: PACKED_BITS.flatMap((bits) => [
    { about: `odd, ${bits} bits`, inputs: { w: f(2, 70, 21) }, attrs: { bits, sections: 1 } },
    { about: `of bf16 in three sections, ${bits} bits`, inputs: { w: half(1, 33, 57) }, attrs: { bits, sections: 3 } },
    { about: `no columns, ${bits} bits`, inputs: { w: f(2, 5, 0) }, attrs: { bits, sections: 1 } },
    {
      about: `NaN, infinity and zeros, ${bits} bits`,
      inputs: { w: { shape: [1, 4, 3], dtype: 'f32', values: [1, 0, NaN, -2, 0, 1, 3, 0, -5, Infinity, 0, 2] } as const },
      attrs: { bits, sections: 1 },
    },
  ]),
});

/** Packed i8[E,P,B] of w [E,K,N]; `sections` equal parts of the columns lie panel by panel beside each other. */
export const packWeights = (w: Tensor, attrs: { readonly bits: PackedBits; readonly sections: number }): Tensor => packOp({ w }, attrs).y;
