/** How much is dropped, and how much more on domains never trained on. */
import { dropRate } from './drops.ts';
import { percentiles, resamples, type Estimate } from './interval.ts';
import { groupSpans, type RoutingRecord, type Span } from './record.ts';

/** Groups of training and of held-out text; where a group mixes both, nothing can be told apart and all count as trained. */
export function separate(record: RoutingRecord): { trained: Span[]; heldOut: Span[] } {
  const strange = record.domains.map((name) => record.heldOut.includes(name));
  const spans = groupSpans(record);
  const kinds = spans.map(({ start, end }) => new Set(Array.from(record.domain.subarray(start, end), (d) => strange[d]!)));
  if (kinds.some((kind) => kind.size > 1)) return { trained: spans, heldOut: [] };
  const of = (kind: boolean): Span[] => spans.filter((_, g) => kinds[g]!.has(kind));
  return of(false).length > 0 ? { trained: of(false), heldOut: of(true) } : { trained: spans, heldOut: [] };
}

interface Dropped {
  readonly slots: number;
  readonly dropped: number;
}

const droppedIn = (kept: Uint8Array, topK: number, { start, end }: Span): Dropped => {
  let dropped = 0;
  for (let slot = start * topK; slot < end * topK; slot++) dropped += 1 - kept[slot]!;
  return { slots: (end - start) * topK, dropped };
};

const total = (groups: readonly Dropped[], draw: Iterable<number>): Dropped => {
  let [slots, dropped] = [0, 0];
  for (const g of draw) [slots, dropped] = [slots + groups[g]!.slots, dropped + groups[g]!.dropped];
  return { slots, dropped };
};

/** Dropped ÷ all slots; n slots. */
export function dropOf(kept: Uint8Array, topK: number, spans: readonly Span[], seed: number): Estimate {
  const groups = spans.map((span) => droppedIn(kept, topK, span));
  const rate = (draw: Iterable<number>): number => {
    const { slots, dropped } = total(groups, draw);
    return dropRate(dropped, slots);
  };
  const replicates = resamples(groups.length, { seed, name: 'drop' }).map(rate);
  return { ...percentiles(rate(groups.keys()), replicates), n: total(groups, groups.keys()).slots, chance: 0 };
}

interface Sides {
  readonly trained: readonly Span[];
  readonly heldOut: readonly Span[];
  readonly seed: number;
}

/** Drop on held-out ÷ on training domains, groups of equal length only, ½ added to each count; undefined without such groups. */
export function shiftOf(kept: Uint8Array, topK: number, { trained, heldOut, seed }: Sides): Estimate | undefined {
  const length = ({ start, end }: Span): number => end - start;
  const equal = Math.max(0, ...trained.map(length).filter((T) => heldOut.some((span) => length(span) === T)));
  const side = (spans: readonly Span[], name: string): { groups: Dropped[]; draws: Int32Array[] } => {
    const groups = spans.filter((span) => length(span) === equal).map((span) => droppedIn(kept, topK, span));
    return { groups, draws: resamples(groups.length, { seed, name }) };
  };
  if (equal === 0) return undefined;
  const [known, strange] = [side(trained, 'trained'), side(heldOut, 'held-out')];
  const rate = ({ groups }: { groups: Dropped[] }, draw: Iterable<number>): number => {
    const { slots, dropped } = total(groups, draw);
    return dropRate(dropped + 0.5, slots);
  };
  const value = rate(strange, strange.groups.keys()) / rate(known, known.groups.keys());
  const replicates = known.draws.map((draw, b) => rate(strange, strange.draws[b]!) / rate(known, draw));
  return { ...percentiles(value, replicates), n: known.groups.length + strange.groups.length, chance: 1 };
}
