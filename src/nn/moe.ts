/** The sparse feed-forward: each token visits its K favourite experts.   B rows, S tokens a row, T tokens, H hidden, E experts, F inner features. */
import { cast, combine, dispatch, type FloatType, gatedProduct, groupedMatmul, pad, reshape, slice, type Tensor } from '../ops/index.ts';
import { type Mode, referencePadding } from './capacity.ts';
import { layer, scaledNormal } from './param.ts';
import { router, type RouterConfig, type Routes } from './router.ts';

export interface MoeConfig extends RouterConfig {
  readonly inner: number;
  readonly initScale: number;
}
export interface MoeInput {
  /** [T,H]; its type is that of the experts' products. The router works in f32 always. */
  readonly x: Tensor;
  /** B rows of S tokens: T = B·S. */
  readonly rows: number;
  readonly length: number;
  readonly mode: Mode;
}

export const moe = (c: MoeConfig) => {
  const gate = router(c);
  return layer({
    params: {
      router: gate.params,
      experts: {
        gate: scaledNormal([c.experts, c.hidden, 2 * c.inner], ['expert', 'embed', 'mlp'], c.initScale),
        up: scaledNormal([c.experts, c.hidden, c.inner], ['expert', 'embed', 'mlp'], c.initScale),
        down: scaledNormal([c.experts, c.inner, c.hidden], ['expert', 'mlp', 'embed'], c.initScale),
      },
    },
    apply({ router: weights, experts }, { x, rows, length, mode }: MoeInput): { y: Tensor } & Pick<Routes, 'balanceLoss' | 'routerZ'> {
      const zeros = referencePadding(rows, length, c);
      const precision = x.dtype as FloatType;
      const padded = padTokens(cast(x, 'f32'), rows, length, zeros); // [T',H]
      const { gates, slots, balanceLoss, routerZ } = gate.apply(weights, { x: padded, mode });
      const seated = dispatch(cast(padded, precision), slots); // [T'·K,H], sorted by expert
      const each = (seats: Tensor, w: Tensor): Tensor => groupedMatmul(seats, w, slots.sizes, precision);
      const inner = gatedProduct(each(seated, experts.gate), each(seated, experts.up)); // [T'·K,F]
      const answers = each(inner, experts.down); // [T'·K,H]
      const y = combine(answers, gates, slots);
      return { y: unpadTokens(y, rows, length, zeros), balanceLoss, routerZ };
    },
  });
};

type Zeros = { readonly rows: number; readonly columns: number };

function padTokens(x: Tensor, rows: number, length: number, zeros: Zeros): Tensor {
  if (zeros.rows + zeros.columns === 0) return x;
  const hidden = x.shape[1]!;
  const wide = pad(reshape(x, [rows, length, hidden]), [0, 0, 0], [zeros.rows, zeros.columns, 0], 0);
  return reshape(wide, [(rows + zeros.rows) * (length + zeros.columns), hidden]);
}

function unpadTokens(y: Tensor, rows: number, length: number, zeros: Zeros): Tensor {
  if (zeros.rows + zeros.columns === 0) return y;
  const hidden = y.shape[1]!;
  const wide = reshape(y, [rows + zeros.rows, length + zeros.columns, hidden]);
  return reshape(slice(wide, [0, 0, 0], [rows, length, hidden]), [rows * length, hidden]);
}
