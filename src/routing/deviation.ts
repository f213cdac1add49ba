/** Deviation over experts by position and by token id (Figs 13, 14), beside what a blind router shows at that very n. */
import { shares, zeros } from './load.ts';
import type { LayerRecord, RoutingRecord } from './record.ts';

export interface Deviation {
  /** Position or token id. */
  readonly at: number;
  /** Kept slots. */
  readonly n: number;
  /** Population standard deviation over experts of the shares; 0 when even. */
  readonly value: number;
  /** The same of n slots drawn blindly with the loads of all text. */
  readonly sameLoad: number;
}

/** Population standard deviation over experts of counts ÷ their sum. */
export function deviation(counts: readonly number[]): number {
  const even = 1 / counts.length;
  return Math.sqrt(shares(counts).reduce((sum, p) => sum + (p - even) ** 2, 0) / counts.length);
}

/** Root mean square deviation of n independent slots with those loads: √(1/E · Σ [p(1−p)/n + (p − 1/E)²]). */
export function sameLoadDeviation(loads: readonly number[], n: number): number {
  const even = 1 / loads.length;
  return Math.sqrt(shares(loads).reduce((sum, p) => sum + (p * (1 - p)) / n + (p - even) ** 2, 0) / loads.length);
}

export const deviationByPosition = (record: RoutingRecord, layer: LayerRecord): Deviation[] => deviationBy(record.position, record, layer);
export const deviationByToken = (record: RoutingRecord, layer: LayerRecord): Deviation[] => deviationBy(record.tokens, record, layer);

function deviationBy(label: Int32Array, { experts, topK }: RoutingRecord, layer: LayerRecord): Deviation[] {
  const counts = new Map<number, number[]>();
  const loads = zeros(experts);
  layer.chosen.forEach((e, slot) => {
    if (!layer.kept[slot]) return;
    const at = label[Math.floor(slot / topK)]!;
    let own = counts.get(at);
    if (!own) counts.set(at, (own = zeros(experts)));
    own[e]!++;
    loads[e]!++;
  });
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([at, own]) => {
      const n = own.reduce((a, b) => a + b, 0);
      return { at, n, value: deviation(own), sameLoad: sameLoadDeviation(loads, n) };
    });
}
