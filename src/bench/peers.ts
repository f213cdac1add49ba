/** What peers measured: their JSON lines, and the best of those that are about the same work as a row of ours. */
import type { PeerResult, Row } from './row.ts';

/** One measurement of a peer; which other fields there are depends on what was measured. */
export type PeerLine = Readonly<Record<string, string | number | boolean | null>> & {
  readonly peer: string;
  readonly name: string;
};

/** Lines that are objects with a peer and a name; others are counted. */
export function readPeers(text: string): { readonly lines: readonly PeerLine[]; readonly skipped: number } {
  const given = text.split('\n').filter((line) => line.trim() !== '');
  const lines = given.flatMap((line) => {
    const parsed = parsedLine(line);
    return parsed ? [parsed] : [];
  });
  return { lines, skipped: given.length - lines.length };
}

function parsedLine(line: string): PeerLine | undefined {
  try {
    const value = JSON.parse(line) as Partial<PeerLine> | null;
    return typeof value?.peer === 'string' && typeof value.name === 'string' ? (value as PeerLine) : undefined;
  } catch {
    return undefined;
  }
}

const SAME_PRECISION: Readonly<Record<Row['dtype'], readonly string[]>> = {
  f32: ['f32'],
  bf16: ['bf16'],
  int8: ['q8_0'],
  int4: ['q4_0'],
  text: [],
};
/** Fields that say which way of several a peer took. */
const WAYS = ['mode', 'compile', 'experts_by', 'way', 'env'] as const;

/** The fastest peer that did what the row did, with as many threads and in the same precision; its repetitions are taken by their median. */
export function bestPeer(row: Row, lines: readonly PeerLine[]): PeerResult | undefined {
  const { like } = row;
  if (!like) return undefined;
  const alike = lines.filter(
    (line) =>
      Object.entries(like).every(([key, value]) => line[key] === value) &&
      line['threads'] === row.threads &&
      (line['dtype'] === undefined || SAME_PRECISION[row.dtype].includes(String(line['dtype']))) &&
      // The twin has another model: only who asks for it gets it.
      (like['experts_by'] !== undefined || line['experts_by'] !== 'dense'),
  );
  const ways = [...new Set(alike.map(who))].flatMap((way) => {
    const ratios = alike.filter((line) => who(line) === way).flatMap((line) => ratioTo(row, line) ?? []);
    return ratios.length > 0 ? [{ who: way, ratio: median(ratios) }] : [];
  });
  return ways.toSorted((a, b) => a.ratio - b.ratio)[0];
}

const who = (line: PeerLine): string =>
  [line.peer, ...WAYS.flatMap((k) => (line[k] === undefined || line[k] === 'no' ? [] : [String(line[k])]))].join(' ');

function ratioTo(row: Row, line: PeerLine): number | undefined {
  const of = (key: string): number | undefined => (typeof line[key] === 'number' ? line[key] : undefined);
  const [time, seconds, mb, tokens] = [of('median_ms'), of('seconds'), of('mb_per_s'), of('tokens_per_s')];
  if (time !== undefined) return time / 1000 / row.median_s;
  if (seconds !== undefined) return seconds / row.median_s;
  if (mb !== undefined && row.mb_per_s !== undefined) return row.mb_per_s / mb;
  return tokens !== undefined && row.tok_per_s !== undefined ? row.tok_per_s / tokens : undefined;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
