/** Unigram pieces and their probabilities, made better step by step: expectation maximisation with a sparse prior, and pruning. */
import { bestPathCounts, expectations, type Lattice, NO_LOSS, type Pieces, removalLosses, renumber } from './lattice.ts';

/** A piece expected less often than this is dropped (SentencePiece's kExpectedFrequencyThreshold). */
const LEAST_EXPECTED = 0.5;
/** An unknown character is this much less likely than the least likely piece (kUnkPenalty), in nats. */
const UNKNOWN_PENALTY = 10;

export interface Maximiser {
  readonly pieces: Pieces;
  /** Which of the pieces are meant to stay. One of a single character that is not stays in the lattice, as likely as an unknown one. */
  readonly kept: Uint8Array;
  /** Number of kept pieces. */
  size(): number;
  /** One step; returns the mean negative log-likelihood of a word before it. */
  step(): number;
  /** Keeps `most` pieces, those whose removal would cost most. False when there are not more. */
  prune(most: number): boolean;
}

/** Piece 0 is the unknown character. `weights`: what the first probabilities are in proportion to. */
export function maximiser(lattice: Lattice, seeds: Omit<Pieces, 'scores'>, weights: Float64Array): Maximiser {
  const { singles, places, lengths } = seeds;
  const probabilities = new Float64Array(seeds.count);
  const kept = new Uint8Array(seeds.count).fill(1, 1);
  const words = lattice.counts.reduce((a, b) => a + b, 0);
  const size = (): number => kept.subarray(0, pieces.count).reduce((a, b) => a + b, 0);

  /** Takes new log-probabilities; pieces that are not kept leave the lattice. Arrays stay, the first `count` entries are in use. */
  function settle({ count, scores }: Pieces, score: (id: number) => number): Pieces {
    const newIds = new Int32Array(count).fill(-1);
    let [least, to] = [Infinity, 0];
    for (let id = 0; id < count; id++) if (kept[id]) least = Math.min(least, (scores[id] = score(id)));
    for (let id = 0; id < count; id++) {
      if (id >= singles && !kept[id]) continue;
      newIds[id] = to;
      scores[to] = kept[id] ? scores[id]! : least - UNKNOWN_PENALTY;
      probabilities[to] = Math.exp(scores[to]!);
      places[to] = places[id]!;
      lengths[to] = lengths[id]!;
      kept[to++] = kept[id]!;
    }
    if (to < count) renumber(lattice, newIds);
    return { ...seeds, count: to, scores };
  }

  const total = weights.reduce((a, b) => a + b, 0);
  let pieces = settle({ ...seeds, scores: new Float64Array(seeds.count) }, (id) => Math.log(weights[id]! / total));
  return {
    get pieces() {
      return pieces;
    },
    kept,
    size,
    step() {
      const expected = new Float64Array(pieces.count);
      const likelihood = expectations(lattice, probabilities, expected);
      let sum = 0;
      for (let id = 0; id < pieces.count; id++) {
        if (expected[id]! < LEAST_EXPECTED) kept[id] = 0;
        if (kept[id]) sum += expected[id]!;
      }
      const logSum = digamma(sum);
      pieces = settle(pieces, (id) => digamma(expected[id]!) - logSum);
      return -likelihood / words;
    },
    prune(most) {
      const before = size();
      const { count, scores } = pieces;
      const counts = bestPathCounts(lattice, pieces);
      const losses = removalLosses(lattice, pieces, counts);
      // A character on no best path goes too, and is unknown from then on.
      for (let id = 1; id < singles; id++) if (counts[id] === 0) kept[id] = 0;
      const room = most - kept.subarray(0, singles).reduce((a, b) => a + b, 0);
      const candidates = Uint32Array.from({ length: count - singles }, (_, i) => singles + i).filter((id) => losses[id] !== NO_LOSS);
      candidates.sort((a, b) => losses[b]! - losses[a]! || a - b);
      kept.fill(0, singles, count);
      for (const id of candidates.subarray(0, Math.max(0, room))) kept[id] = 1;
      pieces = settle(pieces, (id) => scores[id]!);
      return size() < before;
    },
  };
}

/** Logarithmic derivative of the gamma function: an asymptotic series around x − ½, after moving up to x ≥ 7. */
function digamma(x: number): number {
  let result = 0;
  for (; x < 7; x++) result -= 1 / x;
  const y = 1 / (x - 0.5) ** 2;
  return result + Math.log(x - 0.5) + y * (1 / 24 - y * (7 / 960 - y * (31 / 8064 - (y * 127) / 30720)));
}
