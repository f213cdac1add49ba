/** What counting alone predicts: unigram and bigram cross-entropies on the same tokens as the model's.   V vocabulary. */
import { invariant } from '../base/index.ts';
import type { Batch } from './batch.ts';

export interface Baselines {
  /** Nats per target. */
  readonly unigram: number;
  readonly bigram: number;
  /** Targets counted, and targets predicted. */
  readonly trainTokens: number;
  readonly validationTokens: number;
}

/** Counts of (input token, target) pairs: as in the model, the first target of a segment follows token 0. */
export interface PairCounts {
  readonly vocabSize: number;
  readonly total: number;
  /** [V]: occurrences of each target. */
  readonly targets: Float64Array;
  /** Occurrences by context · V + target. */
  readonly pairs: ReadonlyMap<number, number>;
}

export function countPairs(batches: Iterable<Batch>, vocabSize: number): PairCounts {
  const targets = new Float64Array(vocabSize);
  const pairs = new Map<number, number>();
  let total = 0;
  for (const batch of batches)
    eachTarget(batch, (context, target) => {
      const key = context * vocabSize + target;
      pairs.set(key, (pairs.get(key) ?? 0) + 1);
      targets[target]!++;
      total++;
    });
  return { vocabSize, total, targets, pairs };
}

function eachTarget({ tokens, targets, weights }: Batch, visit: (context: number, target: number) => void): void {
  for (let i = 0; i < targets.length; i++) if (weights[i]! > 0) visit(tokens[i]!, targets[i]!);
}

/** (N(w) + ½) / (N + V/2): Krichevsky and Trofimov's estimate. */
export const unigram =
  ({ targets, total, vocabSize }: PairCounts) =>
  (target: number): number =>
    (targets[target]! + 0.5) / (total + vocabSize / 2);

/**
 * Interpolated Kneser–Ney (Kneser & Ney 1995; Chen & Goodman 1998, 2.7), probability of `target` after `context`:
 * ```
 * p(w|c)  = (max(N(cw) − D, 0) + D·N₁₊(c·)·p(w)) / N(c·)          p(w|c) = p(w) after a context never seen
 * p(w)    = (max(N₁₊(·w) − D', 0) + D'·N₁₊(·)/V) / N₁₊(··)        N₁₊(·): how many w were seen at all
 * D       = n₁ / (n₁ + 2 n₂), n_k pairs seen k times; D' the same of the N₁₊(·w); ½ where n₁ or n₂ is 0
 * ```
 */
export function kneserNey({ vocabSize, pairs }: PairCounts): (context: number, target: number) => number {
  const inContext = new Float64Array(vocabSize);
  const followers = new Float64Array(vocabSize);
  const precursors = new Float64Array(vocabSize);
  for (const [key, n] of pairs) {
    const context = Math.floor(key / vocabSize);
    inContext[context]! += n;
    followers[context]!++;
    precursors[key % vocabSize]!++;
  }
  const D = discount(pairs.values());
  const D0 = discount(precursors);
  const seen = precursors.reduce((n, m) => n + (m > 0 ? 1 : 0), 0);
  const backOff = (target: number): number =>
    pairs.size === 0 ? 1 / vocabSize : (Math.max(precursors[target]! - D0, 0) + (D0 * seen) / vocabSize) / pairs.size;
  return (context, target) => {
    const n = inContext[context]!;
    if (n === 0) return backOff(target);
    const own = pairs.get(context * vocabSize + target) ?? 0;
    return (Math.max(own - D, 0) + D * followers[context]! * backOff(target)) / n;
  };
}

function discount(counts: Iterable<number>): number {
  let [once, twice] = [0, 0];
  for (const n of counts) {
    if (n === 1) once++;
    if (n === 2) twice++;
  }
  return once > 0 && twice > 0 ? once / (once + 2 * twice) : 0.5;
}

/**
 * Counts on `train` (the rows that a run saw, each once), predicts `validation`; targets of weight 0 count in neither.
 * Ids are below `vocabSize`, and validation has at least one target.
 */
export function baselines(train: Iterable<Batch>, validation: Iterable<Batch>, vocabSize: number): Baselines {
  const counts = countPairs(train, vocabSize);
  const [one, two] = [unigram(counts), kneserNey(counts)];
  let [nats1, nats2, n] = [0, 0, 0];
  for (const batch of validation)
    eachTarget(batch, (context, target) => {
      nats1 -= Math.log(one(target));
      nats2 -= Math.log(two(context, target));
      n++;
    });
  invariant(n > 0, 'baselines: no validation targets');
  return { unigram: nats1 / n, bigram: nats2 / n, trainTokens: counts.total, validationTokens: n };
}
