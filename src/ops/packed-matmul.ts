/** packed_matmul: a product with packed weights.   R rows, K → N features, P panels of B bytes. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { checkPacked, PACKED_BITS, type PackedBits, packedFill, packedProduct, type Packing, preparedRow } from './packing.ts';

interface MatmulAttrs {
  readonly bits: number;
  /** N. */
  readonly features: number;
}
const packing = (depth: number, { bits, features }: MatmulAttrs): Packing => ({ bits, matrices: [1, depth, features], sections: 1 });

const matmulOp = op(
  'packed_matmul',
  { x: 'f[R,K]', w: 'q[E,P,B]' },
  { y: 'f[*]' },
  {
    attrs: { bits: 'count', features: 'whole' },
    infer(x, attrs: MatmulAttrs) {
      const [rows, depth] = x['x']!.shape as [number, number];
      checkPacked('packed_matmul', 'w', x['w']!.shape, packing(depth, attrs));
      return { y: { dtype: 'f32', shape: [rows, attrs.features] } };
    },
  },
);
rules(matmulOp, {
  flops: ({ dims: { R, K }, attrs }) => 2 * R * K * attrs.features,
  ref({ x, w }, { y }, { dims: { R, K }, attrs }) {
    for (let r = 0; r < R; r++) {
      const row = preparedRow(
        Array.from({ length: K }, (_, k) => x[r * K + k]!),
        attrs.bits,
      );
      packedProduct(row, w, packing(K, attrs), 0).forEach((value, n) => (y[r * attrs.features + n] = value));
    }
  },
  cases: PACKED_BITS.flatMap((bits) =>
    ([1, 7, 11, 19] as const).map((rows) => ({
      about: `${rows} rows, ${bits} bits`,
      inputs: { x: f(rows, 70), w: packedFill({ bits, matrices: [1, 70, 53], sections: 1 }) },
      attrs: { bits, features: 53 },
      tolerance: 2e-5,
    })),
  ),
});

/**
 * x [R,K] times packed matrix w → [R,N]. Rows are rounded to what the weights are: to bf16, or to bytes with a scale for each 32
 * features. The bits of a row do not depend on the other rows.
 */
export const packedMatmul = (x: Tensor, w: Tensor, attrs: { readonly bits: PackedBits; readonly features: number }): Tensor =>
  matmulOp({ x, w }, attrs).y;
