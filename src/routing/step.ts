/** What training keeps of every step's routing: sums only, one pass over the slots.   N tokens, K choices, E experts. */
import { entropyBits, zeros } from './load.ts';

export interface StepRouting {
  /** [K][E] slots by choice rank, as chosen. */
  readonly load: readonly (readonly number[])[];
  /** [E] slots that found room. */
  readonly kept: readonly number[];
  /** [E] sum of the gate values of the chosen slots. */
  readonly gateMass: readonly number[];
  /** [buckets] slots and kept slots by position in the sequence, in equal shares of its length. */
  readonly slotsByPosition: readonly number[];
  readonly keptByPosition: readonly number[];
  /** Slots without room. */
  readonly dropped: number;
  /** Entropy of the loads of all ranks, in bits. */
  readonly loadEntropy: number;
}

export interface StepShape {
  readonly experts: number;
  readonly topK: number;
  readonly buckets: number;
  /** Rows are sequences of this length, one after another. */
  readonly sequenceLength: number;
}

/** Sums one layer's step; `chosen`, `gates`, `kept` are [N·K] in order of preference. */
export function sumStep(
  chosen: ArrayLike<number>,
  gates: ArrayLike<number>,
  kept: ArrayLike<number>,
  { experts, topK, buckets, sequenceLength }: StepShape,
): StepRouting {
  const load = Array.from({ length: topK }, () => zeros(experts));
  const [keptOf, gateMass, all] = [zeros(experts), zeros(experts), zeros(experts)];
  const [slotsByPosition, keptByPosition] = [zeros(buckets), zeros(buckets)];
  let dropped = 0;
  for (let slot = 0; slot < chosen.length; slot++) {
    const e = chosen[slot]!;
    const row = Math.floor(slot / topK);
    const bucket = Math.floor(((row % sequenceLength) * buckets) / sequenceLength);
    const room = kept[slot] ? 1 : 0;
    load[slot % topK]![e]!++;
    all[e]!++;
    keptOf[e]! += room;
    gateMass[e]! += gates[slot]!;
    slotsByPosition[bucket]!++;
    keptByPosition[bucket]! += room;
    dropped += 1 - room;
  }
  return { load, kept: keptOf, gateMass, slotsByPosition, keptByPosition, dropped, loadEntropy: entropyBits(all) };
}

/** Entropy in bits of the mean router distribution; `probs` [N·E] are the router's probabilities. log₂E: no preference on average. */
export function meanRouterEntropy(probs: ArrayLike<number>, experts: number): number {
  const mean = new Float64Array(experts);
  for (let i = 0; i < probs.length; i++) mean[i % experts]! += probs[i]!;
  return entropyBits(mean);
}
