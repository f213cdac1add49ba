/** The router behind its logits, as a program of its own.   T tokens, E experts, K choices. */
import { assignSlots, balanceLoss, type Program, routerZ, softmax, topk, trace } from './vocabulary.ts';

export interface RouterCase {
  readonly tokens: number;
  readonly experts: number;
  /** Equal routing groups. */
  readonly groups: number;
  readonly capacity: number;
  readonly topK: number;
}

/** From logits [T,E]: chosen, gates, slot, kept [T,K], balanceLoss and routerZ []. */
export const routerProgram = ({ tokens, experts, groups, capacity, topK }: RouterCase): Program =>
  trace('router', { logits: { shape: [tokens, experts] } }, ({ logits }) => {
    const probs = softmax(logits!);
    const { values: gates, indices: chosen } = topk(probs, topK);
    const { slot, kept } = assignSlots(chosen, { experts, group: tokens / groups, capacity });
    return { results: { gates, chosen, slot, kept, balanceLoss: balanceLoss(probs, chosen, groups), routerZ: routerZ(logits!) } };
  });
