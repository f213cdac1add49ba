/** pack_weights: matrices brought to 16, 8 or 4 bits a weight, in the order in which products read them.   E matrices, K → N features. */
import { op, rules, type Shape, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import { PACKED_BITS, type PackedBits, packedShape, type Packing, packMatrices } from './packing.ts';

interface PackAttrs {
  readonly bits: number;
  readonly sections: number;
  /** 1: w is [E,N,K]. */
  readonly turned: number;
}
const matricesOf = ([e, rows, cols]: Shape, turned: number): Shape => (turned ? [e!, cols!, rows!] : [e!, rows!, cols!]);
const packOp = op(
  'pack_weights',
  { w: 'float[E,K,N]' },
  { y: 'q[*]' },
  {
    attrs: { bits: 'count', sections: 'count', turned: 'flag' },
    infer: (x, attrs: PackAttrs) => ({
      y: { dtype: 'i8', shape: packedShape('pack_weights', { ...attrs, matrices: matricesOf(x['w']!.shape, attrs.turned) }) },
    }),
  },
);
rules(packOp, {
  ref: ({ w }, { y }, { shapes, attrs }) =>
    packMatrices(w, y, { ...attrs, matrices: matricesOf(shapes.w, attrs.turned) }, attrs.turned === 1),
  cases: PACKED_BITS.flatMap((bits) => [
    { about: `odd, ${bits} bits`, inputs: { w: f(2, 70, 21) }, attrs: { bits, sections: 1, turned: 0 } },
    { about: `of bf16 in three sections, ${bits} bits`, inputs: { w: half(1, 33, 57) }, attrs: { bits, sections: 3, turned: 0 } },
    { about: `turned, in three sections, ${bits} bits`, inputs: { w: f(2, 57, 133) }, attrs: { bits, sections: 3, turned: 1 } },
    { about: `turned, of bf16, ${bits} bits`, inputs: { w: half(1, 19, 64) }, attrs: { bits, sections: 1, turned: 1 } },
    { about: `no columns, ${bits} bits`, inputs: { w: f(2, 5, 0) }, attrs: { bits, sections: 1, turned: 0 } },
    {
      about: `NaN, infinity and zeros, ${bits} bits`,
      inputs: { w: { shape: [1, 4, 3], dtype: 'f32', values: [1, 0, NaN, -2, 0, 1, 3, 0, -5, Infinity, 0, 2] } as const },
      attrs: { bits, sections: 1, turned: 0 },
    },
  ]),
});

/** [E,P,B] of packed matrices. Throws TypeError for bits that there are not, and for columns that do not split into sections. */
export const shapeOfPacked = (packing: Packing): Shape => packedShape(packOp.op, packing);

/** Packed i8[E,P,B] of w [E,K,N], or [E,N,K] where it is `turned`; `sections` equal parts of the columns lie panel by panel beside each other. */
export const packWeights = (
  w: Tensor,
  { turned = false, ...attrs }: { readonly bits: PackedBits; readonly sections: number; readonly turned?: boolean },
): Tensor => packOp({ w }, { ...attrs, turned: Number(turned) }).y;
