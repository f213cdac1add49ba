/** Train, validation or probe: which side each document is on. */
import { mix32 } from '../base/index.ts';
import { append } from './source.ts';

export const SPLITS = ['train', 'validation', 'probe'] as const;
export type Split = (typeof SPLITS)[number];

/** What one domain came to. */
export interface DomainCounts {
  readonly documents: Readonly<Record<Split, number>>;
  /** Bytes of UTF-8. */
  readonly bytes: Readonly<Record<Split, number>>;
  /** Ids, one end of document each included. */
  readonly tokens: Readonly<Record<Split, number>>;
}

/** What the split looks at. */
export interface Placed {
  readonly domain: number;
  /** Hash of the text. */
  readonly hash: number;
  /** Number of the first document of its cluster of near-duplicates. */
  readonly cluster: number;
  readonly heldOut: boolean;
}

const SHARE = 0.05;
/** Small domains give more, up to this share … */
const MOST_SHARE = 0.15;
/** … towards so many documents: 32 sequences of a domain decide most findings. */
const LEAST = { probe: 40, validation: 16 } as const;

/**
 * Side of each document. Clusters stay whole, and belong to the domain of their first document; in each domain they are ranked by hash
 * and fill the probe (5 % of the documents, at least 40 if that is at most 15 %), then validation (5 %, 16), then train. From three
 * clusters on each side has one, from two on train and validation. Held-out domains, and what resembles them, go to the probe.
 */
export function assign(documents: readonly Placed[]): Split[] {
  const members = new Map<number, number[]>();
  documents.forEach(({ cluster }, i) => append(members, cluster, i));
  const sides: Split[] = documents.map(() => 'train');
  const place = (cluster: readonly number[], side: Split): void => cluster.forEach((i) => (sides[i] = side));
  const byDomain = new Map<number, number[][]>();
  for (const cluster of members.values()) {
    if (cluster.some((i) => documents[i]!.heldOut)) place(cluster, 'probe');
    else append(byDomain, documents[cluster[0]!]!.domain, cluster);
  }
  for (const list of byDomain.values()) {
    const rank = (cluster: readonly number[]): number => mix32(documents[cluster[0]!]!.hash);
    const ranked = list.sort((a, b) => rank(a) - rank(b) || a[0]! - b[0]!);
    const wanted = quotas(
      ranked.length,
      ranked.reduce((n, c) => n + c.length, 0),
    );
    for (const side of ['probe', 'validation'] as const) fill(ranked, wanted[side], (cluster) => place(cluster, side));
  }
  return sides;
}

function quotas(clusters: number, documents: number): Record<'probe' | 'validation', number> {
  const wanted = (least: number): number => Math.max(1, Math.ceil(SHARE * documents), Math.min(least, Math.floor(MOST_SHARE * documents)));
  return { probe: clusters < 3 ? 0 : wanted(LEAST.probe), validation: clusters < 2 ? 0 : wanted(LEAST.validation) };
}

/** Takes clusters out of the ranked list until there are `wanted` documents, never more, and never the last cluster. */
function fill(ranked: number[][], wanted: number, take: (cluster: readonly number[]) => void): void {
  let left = wanted;
  for (let i = 0; i < ranked.length && left > 0 && ranked.length > 1;) {
    if (ranked[i]!.length > left) i++;
    else {
      left -= ranked[i]!.length;
      take(ranked.splice(i, 1)[0]!);
    }
  }
}
