/** The sparse feed-forward: each token visits its K favourite experts.   B rows, S tokens a row, T tokens, H hidden, E experts, F inner features. */
import { cast, combine, dispatch, type FloatType, gatedProduct, groupedMatmul, pad, reshape, slice, type Tensor } from '../ops/index.ts';
import { groupCount, type Mode, referencePadding } from './capacity.ts';
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
  /** Every row is a routing group of its own, as when several texts are continued at once; else the config says how groups are cut. */
  readonly alone: boolean;
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
    apply({ router: weights, experts }, input: MoeInput) {
      const precision = input.x.dtype as FloatType;
      return throughExperts(c, weights.weight, input, (seated, sizes) => {
        const into = (w: Tensor): Tensor => groupedMatmul(seated, w, sizes, precision);
        const inner = gatedProduct(into(experts.gate), into(experts.up), precision); // [T'·K,F]
        return groupedMatmul(inner, experts.down, sizes, precision);
      });
    },
  });
};

/** Tokens to their experts and back; `answers` gives what experts say to their rows [T'·K,H], the first i[E] sizes[0] of expert 0, … */
export function throughExperts(
  c: RouterConfig,
  weight: Tensor,
  { x, rows, length, mode, alone }: MoeInput,
  answers: (seated: Tensor, sizes: Tensor) => Tensor,
): { y: Tensor } & Pick<Routes, 'balanceLoss' | 'routerZ'> {
  const zeros = alone ? { rows: 0, columns: 0 } : referencePadding(rows, length, c);
  const padded = padTokens(cast(x, 'f32'), rows, length, zeros); // [T',H]
  const groups = alone ? rows : groupCount(padded.shape[0]!, c);
  const { gates, slots, balanceLoss, routerZ } = router(c).apply({ weight }, { x: padded, mode, groups });
  const seated = dispatch(cast(padded, x.dtype as FloatType), slots); // [T'·K,H], sorted by expert
  const y = combine(answers(seated, slots.sizes), gates, slots);
  return { y: unpadTokens(y, rows, length, zeros), balanceLoss, routerZ };
}

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
