/** Finding 1, context-independent specialization: is an expert chosen for the token id, and how much does its context add? */
import { gains, WEIGHTS, type Contexts, type Gains, type Weights } from './bits.ts';
import { above, below, jackknife, type Estimate, type Interval } from './interval.ts';
import { meeting, type Meeting } from './meeting.ts';
import { LEAST_SEQUENCES, NONE, onProbe, type Probe } from './probe.ts';
import { choicesOfRank, type LayerRecord, type RoutingRecord } from './record.ts';
import type { Judgement } from './verdict.ts';

/** Least gain.token that counts as knowledge. */
const LEAST_GAIN = 0.05;

const GAINS = ['token', 'domain', 'position', 'domainGivenToken', 'context', 'unexplained', 'accuracy'] as const;
const CELLS = ['ss', 'sd', 'od', 'oss', 'osd', 'ood', 'odRepeated', 'kappa'] as const;
type GainName = (typeof GAINS)[number];
type CellName = (typeof CELLS)[number];

/** What the token is weighed against: everything of its sequence, or its domain alone. */
type Context = 'context' | 'domain';
type NumberName = GainName | CellName | `${Context}.${keyof Margins}`;

/** token − context, and half of the token − context, in bits and in meetings: the four signs that decide. */
export interface Margins {
  readonly bits: Estimate;
  readonly halfBits: Estimate;
  readonly meetings: Estimate;
  readonly halfMeetings: Estimate;
}

/** Both tables of one choice rank. Chance: 0 for gains and κ, the heaviest expert for accuracy, `ood` for the cells. */
export interface Tables {
  /** 0: first choices. */
  readonly rank: number;
  readonly gains: Readonly<Record<GainName, Estimate>>;
  readonly meeting: Readonly<Record<CellName, Estimate>>;
  readonly coverage: number;
  readonly coverageRepeated: number;
  /** Bits a choice that the loads alone leave open. */
  readonly bits: number;
  /** Weights of the held-out predictions. */
  readonly weights: Weights;
  /** Context is everything of the sequence, or the domain alone. */
  readonly contextIndependent: Margins;
  readonly tokenOverDomain: Margins;
}

export interface SpecializationLayer extends Judgement {
  readonly layer: number;
  /** The weaker claim of the paper's figures: the token says more than the domain. */
  readonly token_over_domain: Judgement;
  readonly first: Tables;
  /** The same of the second choice, shown without verdict. */
  readonly second?: Tables;
}

export function specialization(
  record: RoutingRecord,
  layer: LayerRecord,
  { probe, contexts }: { probe: Probe; contexts: Contexts },
): SpecializationLayer {
  const rank = (k: number): Tables => tablesOf(probe, contexts, { choices: onProbe(probe, choicesOfRank(record, layer, k)), rank: k });
  const first = rank(0);
  return {
    layer: layer.layer,
    ...judge(probe, first, first.contextIndependent),
    token_over_domain: judge(probe, first, first.tokenOverDomain),
    first,
    ...(record.topK > 1 && { second: rank(1) }),
  };
}

/** Gains and meeting table with jackknife intervals over blocks of sequences. */
export function tablesOf(probe: Probe, contexts: Contexts, { choices, rank }: { choices: Int32Array; rank: number }): Tables {
  const { weights, ...whole } = gains(probe, contexts, choices, { weights: WEIGHTS, without: NONE });
  const cells = meeting(probe, choices, NONE);
  const blocks = Array.from({ length: probe.blocks }, (_, block) => block);
  // The weights are chosen once, on all sequences: a replicate varies the text, not the estimator.
  const replicates = blocks.map((without) => {
    const { weights: _, ...gain } = gains(probe, contexts, choices, { weights, without });
    return numbersOf(gain, meeting(probe, choices, without));
  });
  const all = jackknife(numbersOf(whole, cells), replicates);
  const n = choices.length;
  const covered = Math.round(cells.coverage * n);
  const repeated = Math.round(cells.coverageRepeated * n);
  const inSequence = (name: CellName): boolean => name === 'ss' || name === 'oss' || name === 'odRepeated';
  const chance: Partial<Record<GainName, number>> = { accuracy: whole.heaviest, unexplained: 1 };
  const margins = (of: Context, pairs: number): Margins => ({
    bits: { ...all[`${of}.bits`], n, chance: 0 },
    halfBits: { ...all[`${of}.halfBits`], n, chance: 0 },
    meetings: { ...all[`${of}.meetings`], n: pairs, chance: 0 },
    halfMeetings: { ...all[`${of}.halfMeetings`], n: pairs, chance: 0 },
  });
  return {
    rank,
    gains: table(GAINS, (name) => ({ ...all[name], n, chance: chance[name] ?? 0 })),
    meeting: table(CELLS, (name) => ({
      ...all[name],
      n: inSequence(name) ? repeated : covered,
      chance: name === 'kappa' ? 0 : cells.ood,
    })),
    coverage: cells.coverage,
    coverageRepeated: cells.coverageRepeated,
    bits: whole.bits,
    weights,
    contextIndependent: margins('context', repeated),
    tokenOverDomain: margins('domain', covered),
  };
}

const table = <Name extends string>(names: readonly Name[], of: (name: Name) => Estimate): Record<Name, Estimate> =>
  Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, Estimate>;

type Whole = Omit<Gains, 'weights'>;

/** Every number that gets an interval, margins included: the interval of a difference is not the difference of intervals. */
function numbersOf(gain: Whole, cells: Meeting): Record<NumberName, number> {
  const margins = <Name extends Context>(name: Name, { token, context, same, elsewhere }: Worth) =>
    ({
      [`${name}.bits`]: token - context,
      [`${name}.halfBits`]: token / 2 - context,
      [`${name}.meetings`]: same - elsewhere,
      [`${name}.halfMeetings`]: same / 2 - elsewhere,
    }) as Record<`${Name}.${keyof Margins}`, number>;
  return {
    ...gain,
    ...cells,
    ...margins('context', { token: gain.token, context: gain.context, same: cells.ss - cells.oss, elsewhere: cells.ss - cells.odRepeated }),
    ...margins('domain', { token: gain.token, context: gain.domainGivenToken, same: cells.sd - cells.osd, elsewhere: cells.sd - cells.od }),
  };
}

interface Worth {
  readonly token: number;
  readonly context: number;
  readonly same: number;
  readonly elsewhere: number;
}

function judge(probe: Probe, { gains }: Tables, margins: Margins): Judgement {
  if (probe.domains.length < 2) return { verdict: 'undecided', reason: 'one domain: nothing to compare the token with' };
  if (probe.fewest < LEAST_SEQUENCES)
    return { verdict: 'undecided', reason: `${probe.fewest} sequences in a domain, at least ${LEAST_SEQUENCES} needed` };
  const { bits, halfBits, meetings, halfMeetings } = margins;
  const every = (test: (x: Interval, bound: number) => boolean, ...xs: readonly Interval[]): boolean => xs.every((x) => test(x, 0));
  if (below(gains.token, LEAST_GAIN)) return { verdict: 'fails', reason: `gain.token below ${LEAST_GAIN}` };
  if (below(bits, 0)) return { verdict: 'fails', reason: 'in bits the context is worth more than the token' };
  if (below(meetings, 0)) return { verdict: 'fails', reason: 'in meetings the context is worth more than the token' };
  if (above(gains.token, LEAST_GAIN) && every(above, halfBits, halfMeetings))
    return { verdict: 'holds', reason: 'the context is worth less than half of the token, in bits and in meetings' };
  if (every(above, bits, meetings) && (below(halfBits, 0) || below(halfMeetings, 0)))
    return { verdict: 'mixed', reason: 'the context is worth more than half of the token, but less than the token' };
  return { verdict: 'undecided', reason: 'an interval contains the bound' };
}
