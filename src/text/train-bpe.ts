/** Training of a byte-level BPE: merges the most frequent pair of neighbours inside words, again and again. */
import { EXIT, invariant, UserError } from '../base/index.ts';
import { breathing } from './breathe.ts';
import { heap } from './heap.ts';
import type { Merge } from './merges.ts';
import { type ByteLevelTokenizer, SPECIALS, tokenizer } from './tokenizer.ts';
import { words } from './words.ts';

export interface BpeProgress {
  readonly phase: 'count' | 'merge';
  /** UTF-16 units read, or pieces made. */
  readonly done: number;
  /** Pieces asked for; unknown while counting. */
  readonly total?: number;
}

const BYTES = 256;
/** Smallest vocabulary: specials and bytes. */
const LEAST = SPECIALS.length + BYTES;
/** A heap key is (MOST_COUNT − count)·MOST_PAIRS + pair, exact below 2⁵³. */
const MOST_PAIRS = 2 ** 23;
const MOST_COUNT = 2 ** 30;

/**
 * A tokenizer of at most `vocabSize` pieces: 2 specials, 256 bytes, then merges. A function of the multiset of words alone:
 * ties go to the pair seen first in the list of words sorted by count, then by bytes. Ends early when no pair occurs twice.
 * Throws UserError E_TOKENIZER_SIZE when `vocabSize` has no room for the bytes; the reason of `signal` when it aborts.
 */
export async function trainBpe(
  texts: Iterable<string> | AsyncIterable<string>,
  { vocabSize, signal }: { readonly vocabSize: number; readonly signal?: AbortSignal },
  onProgress: (progress: BpeProgress) => void = () => {},
): Promise<ByteLevelTokenizer> {
  if (vocabSize < LEAST)
    throw new UserError('E_TOKENIZER_SIZE', EXIT.usage, {
      message: `a vocabulary of ${vocabSize} pieces is too small`,
      hint: `the least is ${LEAST}: ${SPECIALS.length} specials and ${BYTES} bytes`,
    });
  const breathe = breathing(signal);
  const counts = new Map<string, number>();
  let read = 0;
  for await (const text of texts) {
    for (const word of words(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
    read += text.length;
    if (await breathe()) onProgress({ phase: 'count', done: read });
  }
  const learner = pairLearner(counts, vocabSize);
  while (learner.pieces.length < vocabSize && learner.mergeBest())
    if (await breathe()) onProgress({ phase: 'merge', done: learner.pieces.length, total: vocabSize });
  return tokenizer(learner);
}

/** Distinct words as ids in one array, most frequent first. */
function layOut(counts: ReadonlyMap<string, number>) {
  // A word of one byte holds no pair. A plain < compares UTF-16 units: the same order everywhere.
  const sorted = [...counts].filter(([word]) => word.length > 1 || word > '\x7f').sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const encoder = new TextEncoder();
  const encoded = sorted.map(([word]) => encoder.encode(word));
  const starts = new Int32Array(sorted.length + 1);
  encoded.forEach((bytes, w) => (starts[w + 1] = starts[w]! + bytes.length));
  const ids = new Int32Array(starts[sorted.length]!);
  encoded.forEach((bytes, w) => bytes.forEach((b, i) => (ids[starts[w]! + i] = SPECIALS.length + b)));
  return { ids, starts, lengths: Int32Array.from(encoded, (b) => b.length), counts: Float64Array.from(sorted, ([, n]) => n) };
}

/** Pair counts kept up to date while words shrink. */
function pairLearner(wordCounts: ReadonlyMap<string, number>, vocabSize: number) {
  const layout = layOut(wordCounts);
  const pieces: Uint8Array[] = [...SPECIALS.map(() => new Uint8Array(0)), ...Array.from({ length: BYTES }, (_, b) => Uint8Array.of(b))];
  const idOf = new Map(pieces.map((p, id) => [p.join(), id]));
  const merges: Merge[] = [];
  const pairs = pairTable(vocabSize);
  for (let w = 0; w < layout.counts.length; w++)
    for (let i = layout.starts[w]!, end = i + layout.lengths[w]! - 1; i < end; i++)
      pairs.add(layout.ids[i]!, layout.ids[i + 1]!, layout.counts[w]!, w);
  pairs.settle();
  return {
    pieces: pieces as readonly Uint8Array[],
    merges: merges as readonly Merge[],
    /** False when no pair occurs twice. */
    mergeBest(): boolean {
      const best = pairs.takeBest();
      if (!best) return false;
      const bytes = Uint8Array.of(...pieces[best.left]!, ...pieces[best.right]!);
      // Two ways to build one string share its id: a vocabulary holds each string once.
      const into = idOf.get(bytes.join()) ?? pieces.length;
      if (into === pieces.length) {
        idOf.set(bytes.join(), into);
        pieces.push(bytes);
      }
      // A merged pair comes back where one of its parts was built the other way; it has its rank already.
      if (!best.again) merges.push({ left: best.left, right: best.right, into });
      for (const w of best.words) mergeInWord(layout, w, { ...best, into, pairs });
      pairs.settle();
      return true;
    },
  };
}

type Layout = ReturnType<typeof layOut>;
type PairTable = ReturnType<typeof pairTable>;

/** Replaces left, right by `into` in word `w`, from the left, and moves the counts of the neighbouring pairs along. */
function mergeInWord(
  { ids, starts, lengths, counts }: Layout,
  w: number,
  { left, right, into, pairs }: { left: number; right: number; into: number; pairs: PairTable },
): void {
  const from = starts[w]!;
  const end = from + lengths[w]!;
  const count = counts[w]!;
  let to = from;
  for (let i = from; i < end; i++) {
    if (ids[i] !== left || i + 1 >= end || ids[i + 1] !== right) {
      ids[to++] = ids[i]!;
      continue;
    }
    if (to > from) {
      pairs.add(ids[to - 1]!, left, -count, w);
      pairs.add(ids[to - 1]!, into, count, w);
    }
    if (i + 2 < end) {
      pairs.add(right, ids[i + 2]!, -count, w);
      pairs.add(into, ids[i + 2]!, count, w);
    }
    pairs.add(left, right, -count, w);
    ids[to++] = into;
    i++;
  }
  lengths[w] = to - from;
}

/** Counts of pairs, the words in which each was seen, and the pairs in order of count. */
function pairTable(vocabSize: number) {
  const indexOf = new Map<number, number>();
  const lefts: number[] = [];
  const rights: number[] = [];
  const counts: number[] = [];
  const places: number[][] = [];
  const grown = new Set<number>();
  const taken = new Set<number>();
  const queue = heap();
  const key = (pair: number): number => (MOST_COUNT - counts[pair]!) * MOST_PAIRS + pair;
  const indexed = (left: number, right: number): number => {
    const code = left * vocabSize + right;
    let pair = indexOf.get(code);
    if (pair === undefined) {
      indexOf.set(code, (pair = lefts.length));
      lefts.push(left);
      rights.push(right);
      counts.push(0);
      places.push([]);
    }
    return pair;
  };
  return {
    /** `count` more (or fewer) occurrences of the pair, in word `word`. */
    add(left: number, right: number, count: number, word: number): void {
      const pair = indexed(left, right);
      counts[pair]! += count;
      if (count < 0) return;
      places[pair]!.push(word);
      grown.add(pair);
    },
    /** Queues the pairs whose counts grew; a count that fell is corrected when it comes up. */
    settle(): void {
      for (const pair of grown) queue.push(key(pair));
      grown.clear();
      invariant(lefts.length < MOST_PAIRS, `${lefts.length} distinct pairs: train the tokenizer on less text`);
    },
    /** The most frequent pair and the words that may hold it; undefined when none occurs twice. `again`: it was taken before. */
    takeBest(): { left: number; right: number; words: Iterable<number>; again: boolean } | undefined {
      for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
        const pair = top % MOST_PAIRS;
        const now = key(pair);
        if (counts[pair]! < 2) continue;
        if (now > top) queue.push(now);
        else if (now === top) {
          const best = { left: lefts[pair]!, right: rights[pair]!, words: new Set(places[pair]), again: taken.has(pair) };
          places[pair] = [];
          taken.add(pair);
          return best;
        }
      }
      return undefined;
    },
  };
}
