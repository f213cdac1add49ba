/** Suffixes of words in the order of their first characters, and how much neighbours share (prefix doubling, Manber and Myers 1990). */
import { UNKNOWN } from './characters.ts';

export interface Suffixes {
  /** Positions in the text, sorted by their first `depth` symbols; those at END and UNKNOWN are left out. */
  readonly order: Int32Array;
  /** Symbols that order[k−1] and order[k] share, at most depth + 1; 0 for the first. */
  readonly shared: Uint16Array;
  /** Symbols from a position to the next END or UNKNOWN. */
  readonly left: Uint16Array;
}

/** `depth` at least 1; sums of `depth` stay below 2¹⁶. */
export function sortSuffixes(text: Int32Array, depth: number): Suffixes {
  const left = symbolsLeft(text);
  let { order, rank, ranks } = bySymbol(text, left);
  for (let half = 1; half < depth && ranks < order.length; half *= 2)
    ({ order, rank, ranks } = doubled({ order, rank, ranks }, left, half));
  return { order, left, shared: sharedWithPrevious(text, { order, left, depth }) };
}

/** Capped: nobody compares more symbols than that. */
const MOST_LEFT = 0xffff;

function symbolsLeft(text: Int32Array): Uint16Array {
  const left = new Uint16Array(text.length);
  for (let i = text.length - 1, n = 0; i >= 0; i--) {
    n = text[i]! <= UNKNOWN ? 0 : Math.min(MOST_LEFT, n + 1);
    left[i] = n;
  }
  return left;
}

interface Ranked {
  readonly order: Int32Array;
  /** By position: equal for equal beginnings, 1 or more; 0 for what is left out. */
  readonly rank: Int32Array;
  readonly ranks: number;
}

function bySymbol(text: Int32Array, left: Uint16Array): Ranked {
  let most = 0;
  for (const symbol of text) most = Math.max(most, symbol);
  const ends = new Int32Array(most + 2);
  for (const symbol of text) if (symbol > UNKNOWN) ends[symbol + 1]!++;
  const rankOf = new Int32Array(most + 1);
  let ranks = 0;
  for (let s = 0; s <= most; s++) {
    if (ends[s + 1]! > 0) rankOf[s] = ++ranks;
    ends[s + 1]! += ends[s]!;
  }
  const order = new Int32Array(ends[most + 1]!);
  const rank = new Int32Array(text.length);
  for (let i = 0; i < text.length; i++) {
    if (left[i] === 0) continue;
    const symbol = text[i]!;
    order[ends[symbol]!++] = i;
    rank[i] = rankOf[symbol]!;
  }
  return { order, rank, ranks };
}

/** From an order by `half` symbols to one by twice as many: two stable counting sorts, the second key first. */
function doubled({ order, rank, ranks }: Ranked, left: Uint16Array, half: number): Ranked {
  const n = order.length;
  const bySecond = new Int32Array(n);
  let to = 0;
  for (let k = 0; k < n; k++) if (left[order[k]!]! <= half) bySecond[to++] = order[k]!;
  for (let k = 0; k < n; k++) {
    const first = order[k]! - half;
    if (first >= 0 && left[first]! > half) bySecond[to++] = first;
  }
  const next = new Int32Array(ranks + 2);
  for (let k = 0; k < n; k++) next[rank[order[k]!]! + 1]!++;
  for (let r = 0; r <= ranks; r++) next[r + 1]! += next[r]!;
  const sorted = order;
  for (let k = 0; k < n; k++) {
    const i = bySecond[k]!;
    sorted[next[rank[i]!]!++] = i;
  }
  const finer = new Int32Array(rank.length);
  let [finerRanks, lastFirst, lastSecond] = [0, -1, -1];
  for (let k = 0; k < n; k++) {
    const i = sorted[k]!;
    const first = rank[i]!;
    const second = left[i]! > half ? rank[i + half]! : 0;
    if (first !== lastFirst || second !== lastSecond) finerRanks++;
    finer[i] = finerRanks;
    [lastFirst, lastSecond] = [first, second];
  }
  return { order: sorted, rank: finer, ranks: finerRanks };
}

function sharedWithPrevious(
  text: Int32Array,
  { order, left, depth }: { order: Int32Array; left: Uint16Array; depth: number },
): Uint16Array {
  const shared = new Uint16Array(order.length);
  for (let k = 1; k < order.length; k++) {
    const [a, b] = [order[k - 1]!, order[k]!];
    const most = Math.min(left[a]!, left[b]!, depth + 1);
    let n = 0;
    while (n < most && text[a + n] === text[b + n]) n++;
    shared[k] = n;
  }
  return shared;
}
