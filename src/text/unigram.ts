/**
 * Unigram model: the cut of a text whose pieces have the largest sum of log probabilities (Viterbi), as SentencePiece and `tokenizers` find it.
 * Bound by steps in the trie, about four a byte of English.
 */
import { LENGTH_OF, type Pieces, type Segmenter } from './pieces.ts';
import { ROOT, type Trie } from './trie.ts';

export interface UnigramTable {
  /** Pieces that may be used, by their bytes. */
  readonly trie: Trie;
  /** Score of each id. */
  readonly scores: Float64Array;
  /** Id and score of a character that no piece matches. */
  readonly unknown: number;
  readonly unknownScore: number;
  /** Sums are f32, as in SentencePiece: in a long text they decide otherwise than f64. */
  readonly single: boolean;
}

export function unigram({ trie: { units }, scores, unknown, unknownScore, single }: UnigramTable): Segmenter {
  // Best path to each position: its score, its last piece, and where that begins (−1: not reached).
  let best = new Float64Array(0);
  let last = new Int32Array(0);
  let begin = new Int32Array(0);
  const forward = (bytes: Uint8Array, from: number, n: number): void => {
    for (let at = 0; at < n; at += LENGTH_OF[bytes[from + at]!]!) {
      const here = best[at]!;
      const length = Math.min(LENGTH_OF[bytes[from + at]!]!, n - at);
      let alone = false;
      let node = ROOT;
      for (let end = at; end < n;) {
        const next = units[node]! + 4 * bytes[from + end]!;
        if (units[next + 1] !== node) break;
        node = next;
        end++;
        const id = units[node + 2]!;
        if (id < 0) continue;
        const score = scores[id]! + here;
        if (begin[end]! < 0 || score > best[end]!) {
          best[end] = single ? Math.fround(score) : score;
          begin[end] = at;
          last[end] = id;
        }
        if (end - at === length) alone = true;
      }
      if (alone) continue;
      const score = single ? Math.fround(unknownScore + here) : unknownScore + here;
      const end = at + length;
      if (begin[end]! >= 0 && !(score > best[end]!)) continue;
      best[end] = score;
      begin[end] = at;
      last[end] = unknown;
    }
  };
  return {
    segment(bytes, from, to, out) {
      const n = to - from;
      if (n === 0) return;
      if (begin.length <= n) {
        [best, last, begin] = [new Float64Array(2 * n + 64), new Int32Array(2 * n + 64), new Int32Array(2 * n + 64)];
      }
      begin.fill(-1, 0, n + 1);
      best[0] = 0;
      forward(bytes, from, n);
      backward(out, from, n, last, begin);
    },
  };
}

/** Pieces of the best path, from the end to the beginning, written from the beginning. */
function backward(out: Pieces, from: number, n: number, last: Int32Array, begin: Int32Array): void {
  let count = 0;
  for (let at = n; at > 0; at = begin[at]!) count++;
  out.reserve(count);
  out.count += count;
  for (let [at, slot] = [n, out.count - 1]; at > 0; at = begin[at]!, slot--) {
    out.ids[slot] = last[at]!;
    out.ends[slot] = from + at;
  }
}
