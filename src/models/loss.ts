/** The training loss as T5X composes it (reference 3.1).   B rows, S tokens a row, N = B·S. */
import type { Model } from './model.ts';
import { add, div, linearCrossEntropy, logsumexp, mul, reshape, sub, sum, takeLast, type Tensor } from '../nn/index.ts';

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

export interface Smoothed {
  /** ε: what of a target's probability all other ids share. */
  readonly labelSmoothing: number;
  readonly z: number;
}

/**
 * T5X's cross-entropy with label smoothing (reference 3.1; training has ε = 0): Σ scale·(CE of soft targets − their entropy + z·logZ²), and
 * the part of z. Logits [N,V] are kept in memory, which `losses` does not do.
 */
export function smoothedCrossEntropy(
  { logits, targets, scale }: { readonly logits: Tensor; readonly targets: Tensor; readonly scale: Tensor },
  { labelSmoothing, z }: Smoothed,
): { readonly total: Tensor; readonly zPart: Tensor } {
  const [tokens, vocab] = logits.shape as [number, number];
  const [confidence, low] = [1 - labelSmoothing, labelSmoothing / (vocab - 1)];
  const entropy = -(confidence * Math.log(confidence) + (vocab - 1) * low * Math.log(low + 1e-20));
  const logZ = logsumexp(logits); // [N]
  const right = reshape(takeLast(logits, reshape(targets, [tokens, 1])), [tokens]);
  const soft = add(mul(right, confidence - low), mul(sum(logits, [1]), low));
  const zPart = sum(mul(mul(mul(logZ, logZ), z), scale));
  return { total: add(sum(mul(sub(sub(logZ, soft), entropy), scale)), zPart), zPart };
}
