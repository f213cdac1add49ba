/** Load: how many slots each expert was chosen for and kept.   E experts, K choices a token. */
import type { LayerRecord, RoutingRecord } from './record.ts';

export interface LayerLoad {
  readonly layer: number;
  readonly tokens: number;
  /** [K][E] slots by choice rank, as chosen. */
  readonly chosen: readonly (readonly number[])[];
  /** [E] slots of all ranks that found room. */
  readonly kept: readonly number[];
  /** [E] sum of the gate values of the chosen slots. */
  readonly gateMass: readonly number[];
  readonly balance: Balance;
  /** Experts that no slot chose. */
  readonly dead: readonly number[];
}

export interface Balance {
  /** Heaviest load ÷ even load; 1 when balanced, E when one expert takes all. */
  readonly heaviest: number;
  /** Entropy of the loads in bits; log₂E when balanced. */
  readonly bits: number;
  /** Entropy as a share of log₂E. */
  readonly evenness: number;
  readonly slots: number;
}

export function layerLoad(record: RoutingRecord, layer: LayerRecord): LayerLoad {
  const { experts, topK } = record;
  const chosen = Array.from({ length: topK }, () => zeros(experts));
  const kept = zeros(experts);
  const gateMass = zeros(experts);
  layer.chosen.forEach((e, slot) => {
    chosen[slot % topK]![e]!++;
    kept[e]! += layer.kept[slot]!;
    gateMass[e]! += layer.gates[slot]!;
  });
  const all = sumRows(chosen);
  const dead = [...all.keys()].filter((e) => all[e] === 0);
  return { layer: layer.layer, tokens: record.tokens.length, chosen, kept, gateMass, balance: balance(all), dead };
}

/** n zeros to count in. */
export const zeros = (n: number): number[] => Array.from({ length: n }, () => 0);

/** [E] column sums of [K][E]. */
export const sumRows = (rows: readonly (readonly number[])[]): number[] =>
  (rows[0] ?? []).map((_, e) => rows.reduce((sum, row) => sum + row[e]!, 0));

export function balance(loads: readonly number[]): Balance {
  const slots = loads.reduce((a, b) => a + b, 0);
  const bits = entropyBits(loads);
  return { heaviest: (Math.max(...loads) / slots) * loads.length, bits, evenness: bits / Math.log2(loads.length), slots };
}

/** Entropy of counts (or of anything proportional to a distribution), in bits. */
export function entropyBits(counts: ArrayLike<number>): number {
  let [total, bits] = [0, 0];
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  for (let i = 0; i < counts.length; i++) if (counts[i]! > 0) bits -= (counts[i]! / total) * Math.log2(counts[i]! / total);
  return bits;
}

/** Counts as shares of their sum. */
export function shares(counts: readonly number[]): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.map((c) => c / total);
}
