/**
 * packed_feedforward: OpenMoE's feed-forward with packed weights, one for each expert.
 * R rows, K → M features, E experts, F inner features, P panels of B bytes.
 */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';
import { checkPacked, PACKED_BITS, type PackedBits, packedFill, packedProduct, type Packing, preparedRow } from './packing.ts';

interface FeedforwardAttrs {
  readonly bits: number;
  /** F. */
  readonly inner: number;
  /** M. */
  readonly features: number;
}
const upPacking = (experts: number, depth: number, { bits, inner }: FeedforwardAttrs): Packing => ({
  bits,
  matrices: [experts, depth, 3 * inner],
  sections: 3,
});
const downPacking = (experts: number, { bits, inner, features }: FeedforwardAttrs): Packing => ({
  bits,
  matrices: [experts, inner, features],
  sections: 1,
});

const feedforwardOp = op(
  'packed_feedforward',
  { x: 'f[R,K]', up: 'q[E,P,B]', down: 'q[E,Q,C]', sizes: 'i[E]' },
  { y: 'f[*]' },
  {
    attrs: { bits: 'count', inner: 'whole', features: 'whole' },
    infer(x, attrs: FeedforwardAttrs) {
      const [rows, depth] = x['x']!.shape as [number, number];
      const experts = x['sizes']!.shape[0]!;
      checkPacked('packed_feedforward', 'up', x['up']!.shape, upPacking(experts, depth, attrs));
      checkPacked('packed_feedforward', 'down', x['down']!.shape, downPacking(experts, attrs));
      return { y: { dtype: 'f32', shape: [rows, attrs.features] } };
    },
  },
);
rules(feedforwardOp, {
  flops: ({ dims: { R, K }, attrs: { inner, features } }) => 2 * R * inner * (3 * K + features),
  ref({ x, up, down, sizes }, { y }, { dims: { R, K, E }, attrs }) {
    const { bits, inner, features } = attrs;
    for (let e = 0, row = 0; e < E; e++)
      for (const end = Math.min(R, row + Math.max(0, sizes[e]!)); row < end; row++) {
        const mine = preparedRow(
          Array.from({ length: K }, (_, k) => x[row * K + k]!),
          bits,
        );
        const g = packedProduct(mine, up, upPacking(E, K, attrs), e);
        const h = Array.from({ length: inner }, (_, n) => ((g[n]! * g[inner + n]!) / (1 + Math.exp(-g[inner + n]!))) * g[2 * inner + n]!);
        packedProduct(preparedRow(h.map(Math.fround), bits), down, downPacking(E, attrs), e).forEach(
          (value, n) => (y[row * features + n] = value),
        );
      }
  },
  cases: PACKED_BITS.flatMap((bits) =>
    (
      [
        ['uneven, one empty', 13, [5, 0, 7]],
        ['sizes beyond the rows', 3, [-4, 2, 99]],
        ['no rows', 0, [0, 0, 0]],
        ['few and many', 30, [9, 19, 2]],
      ] as const
    ).map(([about, rows, sizes]) => ({
      about: `${about}, ${bits} bits`,
      inputs: {
        x: f(rows, 37),
        up: packedFill({ bits, matrices: [3, 37, 3 * 21], sections: 3 }),
        down: packedFill({ bits, matrices: [3, 21, 19], sections: 1 }),
        sizes: exact('i32', [3], sizes),
      },
      attrs: { bits, inner: 21, features: 19 },
      // An inner feature that falls to the other side of a rounding boundary moves the answer by one part in 256 of it.
      tolerance: 2e-2,
    })),
  ),
});

export interface PackedFeedforward {
  /** [gate|up] of all experts, packed in three sections. */
  readonly up: Tensor;
  readonly down: Tensor;
  /** i[E] rows of each expert, one after the other; further rows are 0. */
  readonly sizes: Tensor;
}
/** (a ⊙ silu(b) ⊙ u) · down with [a|b|u] = x · up for the rows of each expert: x [R,K] → [R,M]. */
export const packedFeedforward = (
  x: Tensor,
  { up, down, sizes }: PackedFeedforward,
  attrs: { readonly bits: PackedBits; readonly inner: number; readonly features: number },
): Tensor => feedforwardOp({ x, up, down, sizes }, attrs).y;
