/** Finding 3, drop-towards-the-end: are later tokens dropped more often, and is it the order of filling that does it? */
import { rng } from '../base/index.ts';
import { dropRate, drops, places, type Axis, type Drops } from './drops.ts';
import { dropOf, separate, shiftOf } from './shift.ts';
import { above, below, percentiles, resamples, type Estimate } from './interval.ts';
import { groupSpans, type LayerRecord, type RoutingRecord, type Span } from './record.ts';
import { lossFreeFactor, replayAtRandom, replayInOrder } from './replay.ts';
import type { Judgement } from './verdict.ts';

/** Random priorities that are replayed for `drift`. */
const ORDERS = 8;
/** Least ratio that counts as an effect, least groups and least dropped slots for a verdict. */
const EFFECT = 1.2;
const LEAST_GROUPS = 8;
const LEAST_DROPPED = 100;
const BINS = 32;

export interface EndDrops extends Judgement {
  readonly axis: Axis;
  /** Only where it holds: whether the routes' own demand rises as well. */
  readonly cause?: 'by order' | 'by order and demand';
  /** Drop in the last quarter ÷ in the first quarter; n groups, chance 1. */
  readonly ratio: Estimate;
  /** The same of the same routes replayed in random priority. */
  readonly drift: Estimate;
  /** ratio ÷ drift, paired by group. */
  readonly order: Estimate;
  /** Dropped slots in the two quarters. */
  readonly dropped: number;
  readonly curve: Drops;
}

export interface DropLayer extends Judgement {
  readonly layer: number;
  readonly capacity: number;
  /** Dropped ÷ all slots; n slots. */
  readonly drop: Estimate;
  /** The capacity factor at or above which nothing would be dropped. */
  readonly lossFreeFactor: number;
  /** Share of slots that a replay in the stated priority keeps or drops as recorded; below 1 the record followed another priority. */
  readonly replayed: number;
  readonly byGroup: EndDrops;
  readonly bySequence: EndDrops;
  /** Drop on held-out domains ÷ on training domains, from separate groups of equal length; absent without such groups. */
  readonly shift?: Estimate;
}

/** Judges one layer; its verdict is the one by position in the group. Pure in (record, layer, seed). */
export function dropTowardsTheEnd(record: RoutingRecord, layer: LayerRecord, seed: number): DropLayer {
  const { trained, heldOut } = separate(record);
  const how = { experts: record.experts, topK: record.topK, capacity: layer.capacity };
  const random = Array.from({ length: ORDERS }, (_, i) =>
    replayAtRandom(layer.chosen, trained, how, rng(seed).at('routing/priority', layer.layer, i)),
  );
  const begins = lossFreeFactor(layer.chosen, trained, how);
  const judge = (axis: Axis): EndDrops => endDrops(record, layer, { spans: trained, axis, random, begins, seed });
  const byGroup = judge('group');
  const shift = shiftOf(layer.kept, record.topK, { trained, heldOut, seed });
  return {
    layer: layer.layer,
    verdict: byGroup.verdict,
    reason: byGroup.reason,
    capacity: layer.capacity,
    drop: dropOf(layer.kept, record.topK, trained, seed),
    lossFreeFactor: begins,
    replayed: agreement(layer.kept, replayInOrder(layer.chosen, groupSpans(record), how)),
    byGroup,
    bySequence: judge('sequence'),
    ...(shift && { shift }),
  };
}

interface Quarters {
  readonly slots: readonly [number, number];
  readonly dropped: readonly [number, number];
}

/** Per group: slots and dropped slots of the first and the last quarter. */
function quarters(kept: Uint8Array, topK: number, place: Float64Array, spans: readonly Span[]): Quarters[] {
  return spans.map(({ start, end }) => {
    const [slots, dropped] = [[0, 0] as [number, number], [0, 0] as [number, number]];
    for (let slot = start * topK; slot < end * topK; slot++) {
      const quarter = Math.floor(place[Math.floor(slot / topK)]! * 4);
      if (quarter !== 0 && quarter !== 3) continue;
      slots[quarter === 0 ? 0 : 1]++;
      dropped[quarter === 0 ? 0 : 1] += 1 - kept[slot]!;
    }
    return { slots, dropped };
  });
}

/** Drop in the last quarter ÷ in the first over the drawn groups, ½ added to each count so that an empty quarter stays finite. */
function quarterRatio(groups: readonly Quarters[], draw: Int32Array): number {
  const [slots, dropped] = [
    [0, 0],
    [0.5, 0.5],
  ];
  for (const g of draw)
    for (const q of [0, 1] as const) {
      slots[q]! += groups[g]!.slots[q];
      dropped[q]! += groups[g]!.dropped[q];
    }
  return dropRate(dropped[1]!, slots[1]!) / dropRate(dropped[0]!, slots[0]!);
}

interface EndContext {
  readonly spans: readonly Span[];
  readonly axis: Axis;
  /** Which slots each random priority keeps. */
  readonly random: readonly Uint8Array[];
  /** Capacity factor below which drops begin. */
  readonly begins: number;
  readonly seed: number;
}

function endDrops(record: RoutingRecord, layer: LayerRecord, { spans, axis, random, begins, seed }: EndContext): EndDrops {
  const place = places(record, spans, axis);
  const real = quarters(layer.kept, record.topK, place, spans);
  const replayed = meanQuarters(random.map((kept) => quarters(kept, record.topK, place, spans)));
  const draws = resamples(spans.length, { seed, name: 'quarters' });
  const whole = Int32Array.from(spans.keys());
  const estimate = (of: (draw: Int32Array) => number): Estimate => ({
    ...percentiles(of(whole), draws.map(of)),
    n: spans.length,
    chance: 1,
  });
  const numbers = {
    ratio: estimate((draw) => quarterRatio(real, draw)),
    drift: estimate((draw) => quarterRatio(replayed, draw)),
    order: estimate((draw) => quarterRatio(real, draw) / quarterRatio(replayed, draw)),
    dropped: real.reduce((sum, { dropped }) => sum + dropped[0] + dropped[1], 0),
  };
  return { axis, ...numbers, ...judgeEnd(numbers, begins), curve: drops(record, layer, { spans, axis, bins: BINS, seed }) };
}

/** Mean over the random priorities of each group's counts. */
function meanQuarters(orders: readonly (readonly Quarters[])[]): Quarters[] {
  const mean = (g: number, q: 0 | 1): number => orders.reduce((sum, groups) => sum + groups[g]!.dropped[q], 0) / orders.length;
  return orders[0]!.map(({ slots }, g) => ({ slots, dropped: [mean(g, 0), mean(g, 1)] }));
}

type Numbers = Pick<EndDrops, 'ratio' | 'drift' | 'order' | 'dropped'>;

function judgeEnd({ ratio, drift, order, dropped }: Numbers, begins: number): Judgement & Pick<EndDrops, 'cause'> {
  const undecided = (reason: string): Judgement => ({ verdict: 'undecided', reason });
  if (ratio.n < LEAST_GROUPS) return undecided(`${ratio.n} groups, at least ${LEAST_GROUPS} needed`);
  if (dropped < LEAST_DROPPED)
    return undecided(
      `${dropped} of at least ${LEAST_DROPPED} dropped slots in the two quarters; drops begin below capacity factor ${begins.toFixed(2)}`,
    );
  if (below(ratio, EFFECT)) return { verdict: 'fails', reason: `ratio below ${EFFECT}` };
  if (below(order, EFFECT)) return { verdict: 'fails', reason: `order below ${EFFECT}` };
  if (!above(ratio, EFFECT) || !above(order, EFFECT)) return undecided(`an interval of ratio or order contains ${EFFECT}`);
  const cause = above(drift, 1) ? 'by order and demand' : 'by order';
  return { verdict: 'holds', reason: `ratio and order above ${EFFECT}, ${cause}`, cause };
}

function agreement(a: Uint8Array, b: Uint8Array): number {
  let same = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++;
  return same / a.length;
}
