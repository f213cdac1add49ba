/** Domain polygons (Figs 5–8): shares of the kept slots of all ranks, unweighted by gate, one polygon a domain. */
import { shares, zeros } from './load.ts';
import type { LayerRecord, RoutingRecord } from './record.ts';

export interface Polygon {
  readonly domain: string;
  readonly heldOut: boolean;
  /** [E] kept slots. */
  readonly counts: readonly number[];
  /** [E] counts ÷ their sum: the radii. Chance: the pooled polygon. */
  readonly shares: readonly number[];
  readonly slots: number;
  readonly dropped: number;
}

export function polygons(record: RoutingRecord, layer: LayerRecord): Polygon[] {
  const { domains, experts, topK } = record;
  const counts = domains.map(() => zeros(experts));
  const slots = domains.map(() => 0);
  layer.chosen.forEach((e, slot) => {
    const d = record.domain[Math.floor(slot / topK)]!;
    slots[d]!++;
    counts[d]![e]! += layer.kept[slot]!;
  });
  return domains.map((domain, d) => polygon(counts[d]!, { domain, heldOut: record.heldOut.includes(domain), slots: slots[d]! }));
}

/** One polygon from the kept slots per expert and the number of all slots. */
export function polygon(counts: readonly number[], about: Pick<Polygon, 'domain' | 'heldOut' | 'slots'>): Polygon {
  const kept = counts.reduce((a, b) => a + b, 0);
  return { ...about, counts, shares: shares(counts), dropped: about.slots - kept };
}

/** All polygons pooled: what a router blind to the domain would draw for each. */
export const pooled = (all: readonly Polygon[]): number[] =>
  shares((all[0]?.counts ?? []).map((_, e) => all.reduce((sum, { counts }) => sum + counts[e]!, 0)));
