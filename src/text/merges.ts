/** Byte-pair merges applied to one word at a time, lowest rank first, leftmost first. */
import { heap } from './heap.ts';

/** Two neighbouring ids become one; its place in the list is its rank. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly into: number;
}

/** Separates rank and position in a heap key. */
const POSITIONS = 2 ** 32;

/** Encodes a word: bytes become ids by `idOfByte`, then merges apply in order of rank. n log n in the length of the word. */
export function mergeEncoder(merges: readonly Merge[], idOfByte: readonly number[], vocabSize: number): (bytes: Uint8Array) => number[] {
  const rankOf = new Map(merges.map((m, rank) => [m.left * vocabSize + m.right, rank]));
  return (bytes) => {
    const n = bytes.length;
    const ids = Array.from(bytes, (b) => idOfByte[b]!);
    if (n < 2) return ids;
    // Neighbours of each live position; a position swallowed by its left neighbour has id −1.
    const next = Array.from(ids, (_, i) => i + 1);
    const previous = Array.from(ids, (_, i) => i - 1);
    const rankAt = (i: number): number | undefined => (next[i]! < n ? rankOf.get(ids[i]! * vocabSize + ids[next[i]!]!) : undefined);
    const queue = heap();
    const offer = (i: number): void => {
      const rank = rankAt(i);
      if (rank !== undefined) queue.push(rank * POSITIONS + i);
    };
    for (let i = 0; i < n - 1; i++) offer(i);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const i = key % POSITIONS;
      const rank = Math.floor(key / POSITIONS);
      if (ids[i]! < 0 || rankAt(i) !== rank) continue; // that pair is gone
      const gone = next[i]!;
      ids[i] = merges[rank]!.into;
      ids[gone] = -1;
      next[i] = next[gone]!;
      if (next[i]! < n) previous[next[i]!] = i;
      if (previous[i]! >= 0) offer(previous[i]!);
      offer(i);
    }
    return ids.filter((id) => id >= 0);
  };
}
