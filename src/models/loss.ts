/** The training loss as T5X composes it (reference 3.1).   B rows, S tokens a row, N = B·S. */
import type { Model } from './model.ts';
import { add, div, linearCrossEntropy, mul, reshape, sum, type Tensor } from '../nn/index.ts';

export interface LossConfig {
  /** Weight of logZ² per token. */
  readonly z: number;
  readonly balance: number;
  readonly routerZ: number;
}

export interface BatchTensors {
  /** i[B,S] each: decoder inputs, targets, segments (0 is padding). */
  readonly tokens: Tensor;
  readonly targets: Tensor;
  readonly segments: Tensor;
  /** f[B,S] 1 on targets that count. */
  readonly weights: Tensor;
}

export interface Losses {
  /** [] what trains. */
  readonly total: Tensor;
  /** [] mean cross-entropy over counted targets, in nats. */
  readonly crossEntropy: Tensor;
  /** f[N] cross-entropy of each target. */
  readonly perToken: Tensor;
  readonly balanceLoss?: Tensor;
  readonly routerZ?: Tensor;
}

/** Σ w·(CE + z·logZ²) ÷ Σ w + balance · mean over layers + routerZ · mean over layers. */
export function losses(
  model: Model,
  weight: (path: string) => Tensor,
  { batch, config, mode, padded }: { batch: BatchTensors; config: LossConfig; mode: 'train' | 'eval'; padded: boolean },
): Losses {
  const tokens = reshape(batch.tokens, [batch.tokens.shape[0]! * batch.tokens.shape[1]!]);
  const flat = (t: Tensor): Tensor => reshape(t, tokens.shape);
  const { hidden, routerLosses } = model.apply(weight, { tokens, segments: batch.segments, mode, padded });
  const scale = div(flat(batch.weights), sum(batch.weights)); // [N]
  const { loss, ce } = linearCrossEntropy({ h: hidden, w: weight('head'), targets: flat(batch.targets), scale }, { zLoss: config.z });
  const crossEntropy = sum(mul(ce, scale));
  if (!routerLosses) return { total: loss, crossEntropy, perToken: ce };
  const total = add(loss, add(mul(routerLosses.balanceLoss, config.balance), mul(routerLosses.routerZ, config.routerZ)));
  return { total, crossEntropy, perToken: ce, ...routerLosses };
}
