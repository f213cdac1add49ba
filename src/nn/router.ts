/** The top-k router: who goes where, and the losses that keep it balanced.   T tokens, E experts, K choices, G groups. */
import {
  assignSlots,
  full,
  logsumexp,
  matmul,
  mean,
  mul,
  putLast,
  reshape,
  type Slots,
  softmax,
  tap,
  type Tensor,
  topk,
} from '../ops/index.ts';
import { capacityOf, type CapacityConfig, type Mode } from './capacity.ts';
import { layer, normal } from './param.ts';

export interface RouterConfig extends CapacityConfig {
  readonly hidden: number;
}

export interface Routes {
  /** [T,K] raw probabilities of the chosen experts: the reference never renormalises them. */
  readonly gates: Tensor;
  readonly slots: Slots;
  /** []: 2.0 at balance, for K = 2 is not divided out (reference 3.1). */
  readonly balanceLoss: Tensor;
  /** []: mean squared log-partition of the router. */
  readonly routerZ: Tensor;
}

export interface RouterInput {
  readonly x: Tensor;
  readonly mode: Mode;
  /** Equal routing groups that the tokens are cut into. */
  readonly groups: number;
}

export const router = (c: RouterConfig) =>
  layer({
    params: { weight: normal([c.hidden, c.experts], ['embed', 'unmodeled'], 0.02) },
    apply({ weight }, { x, mode, groups }: RouterInput): Routes {
      const tokens = x.shape[0]!;
      const logits = matmul(x, weight); // [T,E] in f32: bf16 routing is unstable (Switch Transformers, "selective precision")
      const probs = softmax(logits);
      const { values: gates, indices: chosen } = topk(probs, c.topK); // [T,K]; decided on probabilities, as the reference does
      const group = tokens / groups;
      const capacity = capacityOf(group, mode, c);
      const slots = assignSlots(chosen, { experts: c.experts, group, capacity });
      const losses = { balanceLoss: balanceLoss(probs, chosen, groups), routerZ: routerZ(logits) };
      tap('router', { logits, probs, chosen, gates, slot: slots.slot, kept: slots.kept, meanProbs: mean(probs, [0]), ...losses });
      return { gates, slots, ...losses };
    },
  });

/** E² · mean over groups and experts of (share of tokens that chose e) · (mean probability of e). */
export function balanceLoss(probs: Tensor, chosen: Tensor, groups: number): Tensor {
  const [tokens, experts] = probs.shape as [number, number];
  const perGroup = (x: Tensor): Tensor => mean(reshape(x, [groups, tokens / groups, experts]), [1]); // [G,E]
  const share = perGroup(putLast(full(chosen.shape, 1), chosen, experts));
  return mul(mean(mul(share, perGroup(probs))), experts ** 2);
}

/** mean logsumexp(logits)² (ST-MoE, arXiv 2202.08906). */
export function routerZ(logits: Tensor): Tensor {
  const z = logsumexp(logits);
  return mean(mul(z, z));
}
