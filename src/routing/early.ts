/** Finding 2, early routing learning: how soon the map from token id to first expert is the one the training ends with. */
import { EXIT, UserError } from '../base/index.ts';
import { above, below, jackknifed, type Estimate, type Interval } from './interval.ts';
import { beyondChance, kappa, overlap, type Replicated } from './kappa.ts';
import { LEAST_SEQUENCES, onProbe, type Probe } from './probe.ts';
import { choicesOfRank, type LayerRecord, type RoutingRecord } from './record.ts';
import type { Judgement } from './verdict.ts';

/** Least κ(end,end): below it there is no map to learn. */
const LEAST_MAP = 0.05;

/** What the trainer knows of a checkpoint, printed beside its map: learning-rate decay alone slows all change. */
export interface CheckpointNote {
  /** Validation loss, nats a token. */
  readonly loss?: number;
  /** Size of the weight updates since the checkpoint before. */
  readonly update?: number;
}

export interface EarlyPoint extends CheckpointNote {
  readonly step: number;
  readonly share: number;
  /** κ(t,end)/κ(end,end): 1 the final map, 0 an unrelated one. */
  readonly map: Estimate;
  /** κ(t,t)/κ(end,end): how much of a token router it is, whatever its map. */
  readonly force: Estimate;
  /** Share of first choices equal to the final checkpoint's at the same slot; the same beyond chance, (o − c)/(1 − c). */
  readonly agree: Estimate;
  readonly agreeBeyondChance: Estimate;
  /** Overlap of the K-sets with the final ones. */
  readonly overlap: Estimate;
  readonly overlapBeyondChance: Estimate;
  /** Change since the checkpoint before, beyond chance; absent at the first. Shown only: it falls even for a router that never settles. */
  readonly churn?: Estimate;
}

/** Shares of training: the last checkpoint below the level, the first at or above it. Null where there is none. */
export type Bracket = readonly [number | null, number | null];

export interface EarlyLayer extends Judgement {
  readonly layer: number;
  /** κ(end,end): what the token id alone fixes at the end. */
  readonly kappaEnd: Estimate;
  readonly points: readonly EarlyPoint[];
  readonly t50: Bracket;
  readonly t80: Bracket;
}

/** Throws UserError E_ROUTING_PROBE unless all records route the same text through the same layers. */
export function checkSameProbe(records: readonly RoutingRecord[]): void {
  const [first, ...rest] = records;
  const layersOf = ({ layers }: RoutingRecord): string => layers.map(({ layer }) => layer).join();
  for (const record of rest) {
    const same = (['tokens', 'sequence', 'position', 'domain'] as const).every((key) => equal(record[key], first![key]));
    if (same && record.experts === first!.experts && record.topK === first!.topK && layersOf(record) === layersOf(first!)) continue;
    throw new UserError('E_ROUTING_PROBE', EXIT.damaged, {
      message: 'records of different probe sets or models cannot be compared',
      place: `step ${record.step} against step ${first!.step}`,
      hint: 'probe all checkpoints with the same probe seed and tokenizer',
    });
  }
}

const equal = (a: Int32Array, b: Int32Array): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

/** Judges layer number `index` over the checkpoints in order; the last is the end. */
export function earlyRouting(
  probe: Probe,
  records: readonly RoutingRecord[],
  { index, notes }: { readonly index: number; readonly notes: readonly CheckpointNote[] },
): EarlyLayer {
  const routes = records.map((record) => routesOf(probe, record, record.layers[index]!));
  const end = routes.at(-1)!;
  const final = kappa(probe, end[0]!, end[0]!);
  const points = records.map(({ step, share }, t): EarlyPoint => {
    const before = routes[t - 1];
    return {
      step,
      share,
      ...compare(probe, { route: routes[t]!, end, final }),
      ...(before && { churn: churn(probe, before, routes[t]!) }),
      ...notes[t],
    };
  });
  const kappaEnd = estimate(final, { n: probe.rows.length, chance: 0 });
  const bracketAt = (level: number): Bracket =>
    bracket(
      points.map(({ share, map }) => ({ share, level: map.value })),
      level,
    );
  return {
    layer: records[0]!.layers[index]!.layer,
    ...judge(points, kappaEnd, probe),
    kappaEnd,
    points,
    t50: bracketAt(0.5),
    t80: bracketAt(0.8),
  };
}

/** [K][N] choices by rank, in the probe's order. */
type Routes = readonly Int32Array[];

const routesOf = (probe: Probe, record: RoutingRecord, layer: LayerRecord): Routes =>
  Array.from({ length: record.topK }, (_, rank) => onProbe(probe, choicesOfRank(record, layer, rank)));

interface Ends {
  readonly route: Routes;
  readonly end: Routes;
  /** κ(end,end) */
  readonly final: Replicated;
}

function compare(probe: Probe, { route, end, final }: Ends): Omit<EarlyPoint, 'step' | 'share' | 'churn'> {
  const n = probe.rows.length;
  const [agree, sets] = [overlap(probe, [route[0]!], [end[0]!]), overlap(probe, route, end)];
  const ofFinal = (values: Replicated): Replicated => values.map((x, r) => x / final[r]!);
  return {
    map: estimate(ofFinal(kappa(probe, route[0]!, end[0]!)), { n, chance: 0 }),
    force: estimate(ofFinal(kappa(probe, route[0]!, route[0]!)), { n, chance: 0 }),
    agree: estimate(agree.observed, { n, chance: agree.chance[0]! }),
    agreeBeyondChance: estimate(beyondChance(agree), { n, chance: 0 }),
    overlap: estimate(sets.observed, { n, chance: sets.chance[0]! }),
    overlapBeyondChance: estimate(beyondChance(sets), { n, chance: 0 }),
  };
}

/** 1: as different as the loads allow. */
function churn(probe: Probe, before: Routes, now: Routes): Estimate {
  const change = beyondChance(overlap(probe, [before[0]!], [now[0]!])).map((x) => 1 - x);
  return estimate(change, { n: probe.rows.length, chance: 1 });
}

const estimate = (values: Replicated, about: Pick<Estimate, 'n' | 'chance'>): Estimate => ({
  ...jackknifed(values[0]!, values.subarray(1)),
  ...about,
});

/** Where a series first reaches a level. */
export function bracket(series: readonly { readonly share: number; readonly level: number }[], level: number): Bracket {
  const reached = series.findIndex((point) => point.level >= level);
  return reached < 0 ? [series.at(-1)?.share ?? null, null] : [series[reached - 1]?.share ?? null, series[reached]!.share];
}

/** The same brackets of the decline of the loss from the first to the last checkpoint; undefined where a loss is missing. */
export function lossBrackets(
  records: readonly RoutingRecord[],
  notes: readonly CheckpointNote[],
): { readonly t50: Bracket; readonly t80: Bracket } | undefined {
  const losses = records.map((_, t) => notes[t]?.loss ?? NaN);
  if (losses.some(Number.isNaN)) return undefined;
  const [first, last] = [losses[0]!, losses.at(-1)!];
  const series = records.map(({ share }, t) => ({ share, level: (first - losses[t]!) / (first - last) }));
  return { t50: bracket(series, 0.5), t80: bracket(series, 0.8) };
}

/** Half of the map by 20 % of training, four fifths by 65 %, and not there from the start. */
function judge(points: readonly EarlyPoint[], kappaEnd: Interval, { fewest }: Probe): Judgement {
  const undecided = (reason: string): Judgement => ({ verdict: 'undecided', reason });
  const start = points.find(({ share }) => share === 0);
  const soon = points.findLast(({ share }) => share <= 0.2);
  const from = points.find(({ share }) => share >= 0.2);
  const late = points.findLast(({ share }) => share <= 0.65);
  if (fewest < LEAST_SEQUENCES) return undecided(`${fewest} sequences in a domain, at least ${LEAST_SEQUENCES} needed`);
  if (!start || !late || !soon) return undecided('no checkpoint at step 0');
  if (!from || points.at(-1)!.share < 0.99)
    return undecided(`the last checkpoint is at ${percent(points.at(-1)!)}: the final map is not known`);
  if (!above(kappaEnd, LEAST_MAP)) return undecided(`κ(end,end) not above ${LEAST_MAP}: no map to learn`);
  if (above(start.map, 0.5)) return { verdict: 'inherited', reason: 'the untrained router has the final map already' };
  if (below(from.map, 0.5)) return { verdict: 'fails', reason: `map below 0.5 at ${percent(from)}` };
  // A last checkpoint before 20 % says nothing about 65 %.
  if (late.share >= 0.2 && below(late.map, 0.8)) return { verdict: 'fails', reason: `map below 0.8 at ${percent(late)}` };
  if (soon.share < 0.08) return undecided('no checkpoint between 8 and 20 %');
  if (above(soon.map, 0.5) && above(late.map, 0.8) && below(start.map, 0.5))
    return { verdict: 'holds', reason: `map above 0.5 at ${percent(soon)}, above 0.8 at ${percent(late)}, below 0.5 at the start` };
  return undecided('an interval contains the bound');
}

const percent = ({ share }: EarlyPoint): string => `${Number((share * 100).toFixed(1))} %`;
