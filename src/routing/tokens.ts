/** Strongest token ids of each expert (Tables 9 and 15): by number of kept slots of all ranks. */
import type { LayerRecord, RoutingRecord } from './record.ts';

export interface StrongToken {
  readonly token: number;
  /** Kept slots of this token id in this expert. */
  readonly count: number;
  /** Kept slots of this token id in all experts. */
  readonly of: number;
}

/** [E][≤ top] strongest token ids, the most frequent first; equal counts by token id. */
export function strongestTokens(record: RoutingRecord, layer: LayerRecord, top: number): StrongToken[][] {
  const byExpert = Array.from({ length: record.experts }, () => new Map<number, number>());
  const total = new Map<number, number>();
  layer.chosen.forEach((e, slot) => {
    if (!layer.kept[slot]) return;
    const token = record.tokens[Math.floor(slot / record.topK)]!;
    byExpert[e]!.set(token, (byExpert[e]!.get(token) ?? 0) + 1);
    total.set(token, (total.get(token) ?? 0) + 1);
  });
  return byExpert.map((counts) =>
    [...counts]
      .sort(([a, x], [b, y]) => y - x || a - b)
      .slice(0, top)
      .map(([token, count]) => ({ token, count, of: total.get(token)! })),
  );
}
