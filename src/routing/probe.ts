/** The probe set as findings 1 and 2 read it: training domains only, sequences in a row, dense ids.   N tokens, V ids, S sequences. */
import type { RoutingRecord } from './record.ts';

/** Derived once from a record's text; any first-choice vector of the same text can be measured on it. */
export interface Probe {
  /** [N] row of the record, ordered by sequence, then position. */
  readonly rows: Int32Array;
  /** [N] dense token id. */
  readonly token: Int32Array;
  /** [N] dense id of the previous token of the sequence; `ids` at its first token. */
  readonly previous: Int32Array;
  readonly position: Int32Array;
  readonly domain: Int32Array;
  readonly sequence: Int32Array;
  /** [S+1] first place of each sequence. */
  readonly starts: Int32Array;
  /** [S] jackknife block: the sequence's number within its domain mod `blocks`. */
  readonly block: Int32Array;
  /** [N] places ordered by token, then domain, then sequence. */
  readonly byToken: Int32Array;
  /** Distinct token ids V. */
  readonly ids: number;
  readonly domains: readonly string[];
  /** 16, or 8 where a domain has fewer than 16 sequences (fewer still where there are fewer sequences). */
  readonly blocks: number;
  /** Sequences of the domain with the fewest. */
  readonly fewest: number;
  readonly experts: number;
}

export function probeOf(record: RoutingRecord): Probe {
  const { dense: domainOf, names: used } = denseIds(Int32Array.from(record.domains, (name, d) => (record.heldOut.includes(name) ? -1 : d)));
  const trained = (row: number): boolean => domainOf[record.domain[row]!]! >= 0;
  const rows = Int32Array.from(record.tokens.keys()).filter(trained);
  rows.sort((a, b) => record.sequence[a]! - record.sequence[b]! || record.position[a]! - record.position[b]!);
  const pick = (values: Int32Array): Int32Array => rows.map((row) => values[row]!);
  const { dense: token, names: ids } = denseIds(pick(record.tokens));
  const sequence = denseIds(pick(record.sequence)).dense;
  const domain = pick(record.domain).map((d) => domainOf[d]!);
  const starts = startsOf(sequence);
  const { block, blocks, fewest } = blocksOf(starts, domain, used.length);
  const previous = token.map((_, n) => (starts[sequence[n]!] === n ? ids.length : token[n - 1]!));
  const byToken = Int32Array.from(token.keys()).sort((a, b) => token[a]! - token[b]! || domain[a]! - domain[b]! || a - b);
  const position = pick(record.position);
  const domains = used.map((d) => record.domains[d]!);
  return {
    rows,
    token,
    previous,
    position,
    domain,
    sequence,
    starts,
    block,
    byToken,
    ids: ids.length,
    domains,
    blocks,
    fewest,
    experts: record.experts,
  };
}

/** Numbers the distinct values from 0 in order of appearance; negative values stay. */
export function denseIds(values: Int32Array): { dense: Int32Array; names: number[] } {
  const number = new Map<number, number>();
  const dense = values.map((value) => {
    if (value < 0) return value;
    const known = number.get(value) ?? number.size;
    number.set(value, known);
    return known;
  });
  return { dense, names: [...number.keys()] };
}

function startsOf(sequence: Int32Array): Int32Array {
  const starts = [...sequence.keys()].filter((n) => n === 0 || sequence[n] !== sequence[n - 1]);
  return Int32Array.from([...starts, sequence.length]);
}

function blocksOf(starts: Int32Array, domain: Int32Array, domains: number): { block: Int32Array; blocks: number; fewest: number } {
  const seen = new Int32Array(domains);
  const within = starts.subarray(0, -1).map((start) => seen[domain[start]!]!++);
  const fewest = seen.length > 0 ? Math.min(...seen) : 0;
  const blocks = fewest >= 16 ? 16 : Math.min(8, fewest);
  return { block: within.map((number) => number % Math.max(1, blocks)), blocks, fewest };
}

/** [N] choices of a record's rows in the order of the probe. */
export const onProbe = (probe: Probe, choices: Int32Array): Int32Array => probe.rows.map((row) => choices[row]!);

/** Least sequences in each domain for a verdict of findings 1 and 2. */
export const LEAST_SEQUENCES = 8;

/** No block is left out. */
export const NONE = -1;
