/**
 * Byte-pair encoding of symbols: neighbours merge in order of rank, from the left.
 * A text is first cut where no merge can reach across, so that the words of a text are merged once each and remembered.
 */
import { heap } from './heap.ts';
import type { Pieces } from './pieces.ts';

/** Two neighbouring symbols become one. Equal ranks merge from the left. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly into: number;
  readonly rank: number;
}

/** Separates rank and position in a heap key. */
const POSITIONS = 2 ** 32;
/** Words remembered: room for them, in numbers, and the most symbols one may have. */
const POOL = 1 << 21;
const CACHED_LENGTH = 64;
const SLOTS = 1 << 18;
/** Pairs that a merge can join, as a set of hashes: a collision only makes a word longer. */
const CROSSINGS = 1 << 22;

export interface Merger {
  /** Appends the pieces that `symbols[0, n)` merge to; `ends[i]` is where symbol i ends. */
  merge(symbols: Int32Array, ends: Int32Array, n: number, out: Pieces): void;
}

const hashPair = (a: number, b: number): number => {
  const h = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  return (h ^ (h >>> 15)) >>> 0;
};

export interface MergerOptions {
  /** Receives, by what it makes, the merge that was possible last; then a text is never cut into words. */
  readonly offered?: Map<number, Merge> | undefined;
  /** Ids that text begins as: one that merges make, too, has no single first and last symbol. */
  readonly symbols?: ReadonlySet<number>;
}

export function merger(merges: readonly Merge[], { offered, symbols: begin }: MergerOptions = {}): Merger {
  const table = pairTable(merges);
  const crossing = offered || merges.some((m) => begin?.has(m.into)) ? undefined : crossings(merges);
  const mergeWord = wordMerger(table, merges, offered);
  const cache = wordCache();
  return {
    merge(symbols, ends, n, out) {
      for (let from = 0, to = 1; from < n; from = to++) {
        if (crossing) while (to < n && crosses(crossing, symbols[to - 1]!, symbols[to]!)) to++;
        else to = n;
        if (offered || to - from > CACHED_LENGTH) mergeWord(symbols, ends, from, to, out);
        else if (!cache.recall(symbols, ends, from, to, out)) {
          const first = out.count;
          mergeWord(symbols, ends, from, to, out);
          cache.remember(symbols, from, to, ends, out, first);
        }
      }
    },
  };
}

/** Index of the merge of a pair, by open addressing. */
function pairTable(merges: readonly Merge[]) {
  let size = 16;
  while (size < 2 * merges.length) size *= 2;
  const slots = new Int32Array(3 * size).fill(-1);
  const find = (left: number, right: number): number => {
    for (let slot = hashPair(left, right) & (size - 1); ; slot = (slot + 1) & (size - 1)) {
      const index = slots[3 * slot + 2]!;
      if (index < 0 || (slots[3 * slot] === left && slots[3 * slot + 1] === right)) return index < 0 ? -1 - slot : index;
    }
  };
  merges.forEach(({ left, right }, index) => {
    const found = find(left, right);
    const slot = -1 - found;
    // Of a pair that is listed twice, the later one counts, as in `tokenizers`.
    if (found >= 0) replace(slots, size, left, right, index);
    else slots.set([left, right, index], 3 * slot);
  });
  return { find };
}

function replace(slots: Int32Array, size: number, left: number, right: number, index: number): void {
  let slot = hashPair(left, right) & (size - 1);
  while (slots[3 * slot] !== left || slots[3 * slot + 1] !== right) slot = (slot + 1) & (size - 1);
  slots[3 * slot + 2] = index;
}

/**
 * Which pairs of first-level symbols a merge can join: the last symbol of its left part and the first of its right part.
 * Undefined when a piece can be spelt in several ways, so that its first or last symbol is no function of its id.
 */
function crossings(merges: readonly Merge[]): Uint8Array | undefined {
  const [first, last] = [new Map<number, number>(), new Map<number, number>()];
  const made = new Set(merges.map((m) => m.into));
  const ends = (of: Map<number, number>, id: number): number | undefined => of.get(id) ?? (made.has(id) ? undefined : id);
  const set = new Uint8Array(CROSSINGS >> 3);
  let open: readonly Merge[] = merges;
  while (open.length > 0) {
    const later: Merge[] = [];
    for (const merge of open) {
      const [a, b] = [ends(first, merge.left), ends(last, merge.right)];
      const [c, d] = [ends(last, merge.left), ends(first, merge.right)];
      if (a === undefined || b === undefined || c === undefined || d === undefined) {
        later.push(merge);
        continue;
      }
      if ((first.get(merge.into) ?? a) !== a || (last.get(merge.into) ?? b) !== b) return undefined;
      first.set(merge.into, a);
      last.set(merge.into, b);
      const bit = hashPair(c, d) & (CROSSINGS - 1);
      set[bit >> 3]! |= 1 << (bit & 7);
    }
    // What is left can only begin with pieces that nothing makes.
    if (later.length === open.length) return undefined;
    open = later;
  }
  return set;
}

function crosses(set: Uint8Array, left: number, right: number): boolean {
  const bit = hashPair(left, right) & (CROSSINGS - 1);
  return ((set[bit >> 3]! >> (bit & 7)) & 1) === 1;
}

/** Merges one word. n log n in its length. */
function wordMerger({ find }: ReturnType<typeof pairTable>, merges: readonly Merge[], offered: Map<number, Merge> | undefined) {
  const ranks = Float64Array.from(merges, (m) => m.rank);
  const into = Int32Array.from(merges, (m) => m.into);
  let [ids, next, previous] = [new Int32Array(128), new Int32Array(128), new Int32Array(128)];
  const queue = heap();
  const mergeAt = (i: number, n: number): number => (next[i]! < n ? find(ids[i]!, ids[next[i]!]!) : -1);
  const offer = (i: number, n: number): void => {
    const merge = mergeAt(i, n);
    if (merge < 0) return;
    queue.push(ranks[merge]! * POSITIONS + i);
    offered?.set(into[merge]!, merges[merge]!);
  };
  return (symbols: Int32Array, ends: Int32Array, from: number, to: number, out: Pieces): void => {
    const n = to - from;
    if (n > ids.length) [ids, next, previous] = [new Int32Array(2 * n), new Int32Array(2 * n), new Int32Array(2 * n)];
    for (let i = 0; i < n; i++) {
      ids[i] = symbols[from + i]!;
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    for (let i = 0; i < n - 1; i++) offer(i, n);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const i = key % POSITIONS;
      if (ids[i]! < 0) continue;
      const merge = mergeAt(i, n);
      if (merge < 0 || ranks[merge] !== Math.floor(key / POSITIONS)) continue; // that pair is gone
      const gone = next[i]!;
      ids[i] = into[merge]!;
      ids[gone] = -1;
      next[i] = next[gone]!;
      if (next[i]! < n) previous[next[i]!] = i;
      if (previous[i]! >= 0) offer(previous[i]!, n);
      offer(i, n);
    }
    for (let i = 0; i < n; i = next[i]!) out.push(ids[i]!, ends[from + next[i]! - 1]!);
  };
}

/** Words seen, by their symbols: pieces, and how many symbols each covers. Forgets all when it is full. */
function wordCache() {
  const slots = new Int32Array(SLOTS).fill(-1);
  // An entry: number of symbols, number of pieces, the symbols, then id and symbols covered of each piece.
  const pool = new Int32Array(POOL);
  let used = 0;
  let entries = 0;
  let slot = 0;
  return {
    /** Appends what is remembered of `symbols[from, to)`; false when nothing is. */
    recall(symbols: Int32Array, ends: Int32Array, from: number, to: number, out: Pieces): boolean {
      let hash = to - from;
      for (let i = from; i < to; i++) hash = Math.imul(hash ^ symbols[i]!, 0x01000193) ^ (hash >>> 15);
      for (slot = (hash ^ (hash >>> 13)) & (SLOTS - 1); slots[slot]! >= 0; slot = (slot + 1) & (SLOTS - 1)) {
        const entry = slots[slot]!;
        if (!equals(pool, entry, symbols, from, to)) continue;
        const pieces = pool[entry + 1]!;
        for (let i = 0, at = entry + 2 + to - from, end = from; i < pieces; i++, at += 2)
          out.push(pool[at]!, ends[(end += pool[at + 1]!) - 1]!);
        return true;
      }
      return false;
    },
    /** Right after a `recall` that found nothing. `out` from `first` on are the word's pieces. */
    remember(symbols: Int32Array, from: number, to: number, ends: Int32Array, out: Pieces, first: number): void {
      if (used + 4 * CACHED_LENGTH > pool.length || entries * 2 > SLOTS) {
        slots.fill(-1);
        used = entries = 0;
        return;
      }
      slots[slot] = used;
      entries++;
      pool[used++] = to - from;
      pool[used++] = out.count - first;
      for (let i = from; i < to; i++) pool[used++] = symbols[i]!;
      for (let piece = first, symbol = from; piece < out.count; piece++) {
        const start = symbol;
        while (ends[symbol]! < out.ends[piece]!) symbol++;
        symbol++;
        pool[used++] = out.ids[piece]!;
        pool[used++] = symbol - start;
      }
    },
  };
}

function equals(pool: Int32Array, entry: number, symbols: Int32Array, from: number, to: number): boolean {
  if (pool[entry] !== to - from) return false;
  for (let i = from, at = entry + 2; i < to; i++, at++) if (pool[at] !== symbols[i]) return false;
  return true;
}
