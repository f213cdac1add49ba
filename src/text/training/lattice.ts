/** All ways to cut words into pieces: expectations by forward and backward sums, best paths, and what removing a piece would cost. */
import type { Corpus } from './corpus.ts';

export interface Lattice extends Corpus {
  /** Where the nodes of each position begin, and where the last end. */
  readonly nodes: Int32Array;
  /** By node: its piece, and that piece's symbols. Short ones first. */
  readonly ids: Int32Array;
  readonly lengths: Uint16Array;
}

/** By piece; those of one character, the first `singles`, have no place: they are at every position. */
export interface Pieces {
  readonly count: number;
  readonly singles: number;
  /** A position where the piece stands, and its symbols. */
  readonly places: Int32Array;
  readonly lengths: Uint16Array;
  /** Log-probabilities. */
  readonly scores: Float64Array;
}

/** Sums smaller than this are divided by it: products of probabilities of a long word would vanish. */
const TINY = 1e-100;
const LOG_TINY = Math.log(TINY);

/**
 * Adds to `out` how often each piece is expected among all ways to cut the words; returns the log-likelihood of all words.
 * Forward: a[j] = Σ a[i]·p over nodes i → j; backward b[i] = Σ p·b[j]; a node's share is a[i]·p·b[j] ÷ a[end].
 */
export function expectations({ starts, counts, nodes, ids, lengths }: Lattice, probabilities: Float64Array, out: Float64Array): number {
  const longest = longestWord(starts) + 1;
  const [forward, backward, lifted] = [new Float64Array(longest), new Float64Array(longest), new Uint8Array(longest)];
  let total = 0;
  for (let w = 0; w < counts.length; w++) {
    const from = starts[w]!;
    const n = starts[w + 1]! - 1 - from;
    forward.fill(0, 0, n + 1);
    forward[0] = 1;
    let lifts = 0;
    for (let i = 0; i < n; i++) {
      if (forward[i]! < TINY) {
        lift(forward, i, n);
        lifted[i] = 1;
        lifts++;
      }
      const sum = forward[i]!;
      for (let k = nodes[from + i]!, end = nodes[from + i + 1]!; k < end; k++) forward[i + lengths[k]!]! += sum * probabilities[ids[k]!]!;
    }
    total += counts[w]! * (Math.log(forward[n]!) + lifts * LOG_TINY);
    const share = counts[w]! / forward[n]!;
    backward[n] = 1;
    for (let i = n - 1; i >= 0; i--) {
      const reached = forward[i]! * share;
      let sum = 0;
      for (let k = nodes[from + i]!, end = nodes[from + i + 1]!; k < end; k++) {
        const on = probabilities[ids[k]!]! * backward[i + lengths[k]!]!;
        sum += on;
        out[ids[k]!]! += reached * on;
      }
      backward[i] = sum;
      if (lifts > 0 && lifted[i]) {
        // Whoever comes from before this place meets sums that were lifted here.
        lift(backward, i, n);
        lifted[i] = 0;
      }
    }
  }
  return total;
}

function lift(sums: Float64Array, from: number, to: number): void {
  for (let i = from; i <= to; i++) sums[i]! /= TINY;
}

/** How often each piece is on the best path of a word. */
export function bestPathCounts(lattice: Lattice, pieces: Pieces): Float64Array {
  const { starts, counts } = lattice;
  const out = new Float64Array(pieces.count);
  const path = bestPath(lattice, pieces.scores, longestWord(starts));
  for (let w = 0; w < counts.length; w++) {
    const n = starts[w + 1]! - 1 - starts[w]!;
    path.find(starts[w]!, n);
    for (let i = n; i > 0; i -= path.length[i]!) out[path.piece[i]!]! += counts[w]!;
  }
  return out;
}

/**
 * Best path over positions 0 … n of a stretch of text: `piece[i]` ends at i and has `length[i]` symbols.
 * Of equal paths the one whose last piece begins first.
 */
function bestPath({ nodes, ids, lengths }: Lattice, scores: Float64Array, longest: number) {
  const best = new Float64Array(longest + 1);
  const piece = new Int32Array(longest + 1);
  const length = new Uint16Array(longest + 1);
  return {
    piece,
    length,
    /** The score of the best path; `not` is a piece that no path may hold. */
    find(from: number, n: number, not = -1): number {
      best.fill(-Infinity, 1, n + 1);
      for (let i = 0; i < n; i++) {
        const sum = best[i]!;
        for (let k = nodes[from + i]!, end = nodes[from + i + 1]!; k < end; k++) {
          const to = i + lengths[k]!;
          if (to > n) break;
          const score = sum + scores[ids[k]!]!;
          if (score <= best[to]! || ids[k] === not) continue;
          best[to] = score;
          piece[to] = ids[k]!;
          length[to] = lengths[k]!;
        }
      }
      return best[n]!;
    },
  };
}

/** Loss of a piece that need not stay: it is on no best path, or its own best path is others. */
export const NO_LOSS = -Infinity;

/**
 * By piece of more than one character: the loss of likelihood if its occurrences f were cut into the next best path instead,
 * f·(log f/s − Σ log (f′ + f)/s′) over the pieces f′ of that path, with s the sum of `counts` and s′ = s + f·(pieces − 1).
 */
export function removalLosses(lattice: Lattice, { count, singles, places, lengths, scores }: Pieces, counts: Float64Array): Float64Array {
  const sum = counts.reduce((a, b) => a + b, 0);
  const losses = new Float64Array(count);
  const path = bestPath(
    lattice,
    scores,
    lengths.reduce((a, b) => Math.max(a, b), 0),
  );
  for (let id = singles; id < count; id++) {
    const occurrences = counts[id]!;
    const n = lengths[id]!;
    if (occurrences === 0 || path.find(places[id]!, n, id) > scores[id]!) {
      losses[id] = NO_LOSS;
      continue;
    }
    let [pieces, alternative] = [0, 0];
    for (let i = n; i > 0; i -= path.length[i]!) {
      pieces++;
      alternative += Math.log(counts[path.piece[i]!]! + occurrences);
    }
    const after = Math.log(sum + occurrences * (pieces - 1));
    losses[id] = occurrences * (Math.log(occurrences) - Math.log(sum) - alternative + pieces * after);
  }
  return losses;
}

/** Gives each node the new id of its piece, and drops nodes of pieces that have none (−1). */
export function renumber({ text, nodes, ids, lengths }: Lattice, newIds: Int32Array): void {
  let [to, k] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    const end = nodes[i + 1]!;
    nodes[i] = to;
    for (; k < end; k++) {
      const id = newIds[ids[k]!]!;
      if (id < 0) continue;
      ids[to] = id;
      lengths[to++] = lengths[k]!;
    }
  }
  nodes[text.length] = to;
}

function longestWord(starts: Int32Array): number {
  let longest = 0;
  for (let w = 1; w < starts.length; w++) longest = Math.max(longest, starts[w]! - starts[w - 1]!);
  return longest;
}
