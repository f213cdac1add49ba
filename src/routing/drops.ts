/** Drop curves: dropped ÷ all slots by position in the routing group or in the sequence, per choice rank and domain. */
import { percentiles, resamples, type Estimate } from './interval.ts';
import { zeros } from './load.ts';
import { groupSpans, type LayerRecord, type RoutingRecord, type Span } from './record.ts';

/** Where a token stands: in its routing group (what decides) or in its sequence (what the paper's Fig 12 plots). */
export type Axis = 'group' | 'sequence';

/** One curve; bin b covers the shares b/bins … (b+1)/bins of the length. drop = dropped ÷ slots. */
export interface DropCurve {
  readonly slots: readonly number[];
  readonly dropped: readonly number[];
}

export interface Drops {
  readonly axis: Axis;
  readonly bins: number;
  readonly pooled: DropCurve & { readonly drop: readonly Estimate[] };
  /** [K] by choice rank. */
  readonly ranks: readonly DropCurve[];
  readonly domains: readonly (DropCurve & { readonly domain: string; readonly heldOut: boolean })[];
}

/** Share of slots dropped, 0 to 1. */
export const dropRate = (dropped: number, slots: number): number => dropped / slots;

/** [N] place of each row on the axis as a share of its length, 0 ≤ place < 1, so that unequal lengths compare. */
export function places(record: RoutingRecord, spans: readonly Span[], axis: Axis): Float64Array {
  const place = new Float64Array(record.tokens.length);
  if (axis === 'group')
    for (const { start, end } of spans) for (let row = start; row < end; row++) place[row] = (row - start) / (end - start);
  else {
    const length = new Map<number, number>();
    record.sequence.forEach((s, row) => length.set(s, Math.max(length.get(s) ?? 0, record.position[row]! + 1)));
    record.sequence.forEach((s, row) => (place[row] = record.position[row]! / length.get(s)!));
  }
  return place;
}

interface Counting {
  readonly slots: number[];
  readonly dropped: number[];
}
const emptyCurve = (bins: number): Counting => ({
  slots: zeros(bins),
  dropped: zeros(bins),
});

/** Domains over all groups; ranks and the pooled curve, with percentile intervals from resampled groups, over the spans given. */
export function drops(
  record: RoutingRecord,
  layer: LayerRecord,
  { spans, axis, bins, seed }: { readonly spans: readonly Span[]; readonly axis: Axis; readonly bins: number; readonly seed: number },
): Drops {
  const everywhere = groupSpans(record);
  const place = places(record, everywhere, axis);
  const groups = spans.map(() => emptyCurve(bins));
  const ranks = Array.from({ length: record.topK }, () => emptyCurve(bins));
  const domains = record.domains.map(() => emptyCurve(bins));
  const count = ({ start, end }: Span, curvesOf: (slot: number, row: number) => readonly Counting[]): void => {
    for (let slot = start * record.topK; slot < end * record.topK; slot++) {
      const row = Math.floor(slot / record.topK);
      const bin = Math.floor(place[row]! * bins);
      for (const curve of curvesOf(slot, row)) {
        curve.slots[bin]!++;
        curve.dropped[bin]! += 1 - layer.kept[slot]!;
      }
    }
  };
  for (const span of everywhere) count(span, (_, row) => [domains[record.domain[row]!]!]);
  spans.forEach((span, g) => count(span, (slot) => [groups[g]!, ranks[slot % record.topK]!]));
  const named = domains.map((curve, d) => ({ ...curve, domain: record.domains[d]!, heldOut: record.heldOut.includes(record.domains[d]!) }));
  return { axis, bins, pooled: pool(groups, bins, seed), ranks, domains: named.filter(({ slots }) => slots.some((n) => n > 0)) };
}

function pool(groups: readonly DropCurve[], bins: number, seed: number): Drops['pooled'] {
  const draws = resamples(groups.length, { seed, name: 'drops' });
  const whole = Int32Array.from(groups.keys());
  const rate = (draw: Int32Array, bin: number): number => {
    let [slots, dropped] = [0, 0];
    for (const g of draw) [slots, dropped] = [slots + groups[g]!.slots[bin]!, dropped + groups[g]!.dropped[bin]!];
    return dropRate(dropped, slots);
  };
  const sum = (key: keyof DropCurve, bin: number): number => groups.reduce((total, curve) => total + curve[key][bin]!, 0);
  const curve = { slots: [] as number[], dropped: [] as number[], drop: [] as Estimate[] };
  for (let bin = 0; bin < bins; bin++) {
    curve.slots.push(sum('slots', bin));
    curve.dropped.push(sum('dropped', bin));
  }
  const overall = dropRate(
    curve.dropped.reduce((a, b) => a + b, 0),
    curve.slots.reduce((a, b) => a + b, 0),
  );
  for (let bin = 0; bin < bins; bin++)
    curve.drop.push({
      ...percentiles(
        rate(whole, bin),
        draws.map((draw) => rate(draw, bin)),
      ),
      n: curve.slots[bin]!,
      chance: overall,
    });
  return curve;
}
