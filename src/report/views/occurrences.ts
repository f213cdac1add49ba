/** Where a token id stands in a routing record, in which company, and where it went each time. */
import type { RoutingRecord } from '../../routing/index.ts';

export interface Occurrence {
  readonly row: number;
  readonly token: number;
  readonly domain: string;
  readonly sequence: number;
  readonly position: number;
  /** Token ids of the same sequence before and after. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** By layer of the record: the experts in order of preference, and whether each had room. */
  readonly experts: readonly (readonly { readonly expert: number; readonly kept: boolean }[])[];
}

/** Tokens shown on either side. */
const NEIGHBOURS = 4;

/** All occurrences of one token id, in the record's order. */
export function occurrencesOf(record: RoutingRecord, token: number): Occurrence[] {
  const rows: number[] = [];
  record.tokens.forEach((id, row) => {
    if (id === token) rows.push(row);
  });
  return rows.map((row) => occurrence(record, row));
}

function occurrence(record: RoutingRecord, row: number): Occurrence {
  const { tokens, sequence, position, domain, domains, topK, layers } = record;
  const neighbours = (from: number, to: number): number[] =>
    [...tokens.subarray(Math.max(0, from), to)].filter((_, i) => sequence[Math.max(0, from) + i] === sequence[row]);
  return {
    row,
    token: tokens[row]!,
    domain: domains[domain[row]!]!,
    sequence: sequence[row]!,
    position: position[row]!,
    before: neighbours(row - NEIGHBOURS, row),
    after: neighbours(row + 1, row + 1 + NEIGHBOURS),
    experts: layers.map(({ chosen, kept }) =>
      Array.from({ length: topK }, (_, k) => ({ expert: chosen[row * topK + k]!, kept: kept[row * topK + k] === 1 })),
    ),
  };
}

/** At most `most` occurrences, spread over the domains in turns. */
export function spread(all: readonly Occurrence[], most: number): Occurrence[] {
  const byDomain = new Map<string, Occurrence[]>();
  for (const one of all) byDomain.set(one.domain, [...(byDomain.get(one.domain) ?? []), one]);
  const queues = [...byDomain.values()];
  const turns = Math.max(0, ...queues.map(({ length }) => length));
  const picked = Array.from({ length: turns }, (_, turn) => queues.flatMap((queue) => queue[turn] ?? []))
    .flat()
    .slice(0, most);
  return picked.sort((a, b) => a.row - b.row);
}
