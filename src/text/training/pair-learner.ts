/** Byte-pair learning: merges the most frequent pair of neighbours inside words, again and again, with counts kept up to date. */
import { heap } from '../heap.ts';

/** Distinct words as ids in one array; a word shrinks in its place. */
export interface PairWords {
  readonly ids: Int32Array;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly counts: Float64Array;
}

export interface Vocabulary {
  /** Whether two neighbours may become one piece; asked once for each pair. */
  joins(left: number, right: number): boolean;
  /** Id of the piece that two make together: a new one, or one that has been built another way. */
  join(left: number, right: number): number;
}

export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly into: number;
  /** The pair was merged before, and came back where one of its parts was built the other way. */
  readonly again: boolean;
}

/** Returns the next merge, made in all words; undefined when no pair occurs `least` times. Ties go to the pair that was seen first. */
export function pairLearner(words: PairWords, vocabulary: Vocabulary, least: number): () => Merge | undefined {
  const pairs = pairTable(vocabulary, least);
  for (let w = 0; w < words.counts.length; w++)
    for (let i = words.starts[w]!, end = i + words.lengths[w]! - 1; i < end; i++)
      pairs.add(words.ids[i]!, words.ids[i + 1]!, words.counts[w]!, w);
  pairs.settle();
  return () => {
    const best = pairs.takeBest();
    if (!best) return undefined;
    const merge = { left: best.left, right: best.right, into: vocabulary.join(best.left, best.right), again: best.again };
    let last = -1;
    // A word that holds the pair twice stands twice in a row.
    for (const w of best.words) if (w !== last) mergeInWord(words, (last = w), { ...merge, pairs });
    pairs.settle();
    return merge;
  };
}

/** Replaces left, right by `into` in word `w`, from the left, and moves the counts of the neighbouring pairs along. */
function mergeInWord(
  { ids, starts, lengths, counts }: PairWords,
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

type PairTable = ReturnType<typeof pairTable>;

/** A heap key is (MOST_COUNT − count)·MOST_PAIRS + pair, exact below 2⁵³. */
const MOST_PAIRS = 2 ** 24;
const MOST_COUNT = 2 ** 29;

/** Counts of pairs, the words in which each was seen, and the pairs in order of count. */
function pairTable({ joins }: Vocabulary, least: number) {
  const { indexOf, lefts, rights } = pairIndex(joins);
  const counts: number[] = [];
  const places: number[][] = [];
  const grown = new Set<number>();
  const taken = new Set<number>();
  const queue = heap();
  const key = (pair: number): number => (MOST_COUNT - Math.min(MOST_COUNT, counts[pair]!)) * MOST_PAIRS + pair;
  return {
    /** `count` more (or fewer) occurrences of the pair, in word `word`. */
    add(left: number, right: number, count: number, word: number): void {
      const pair = indexOf(left, right);
      if (pair < 0 || pair >= MOST_PAIRS) return; // may not be joined, or is beyond what the queue can hold: rare
      if (pair === counts.length) {
        counts.push(0);
        places.push([]);
      }
      counts[pair]! += count;
      if (count < 0) return;
      places[pair]!.push(word);
      grown.add(pair);
    },
    /** Queues the pairs whose counts grew; a count that fell is corrected when it comes up. */
    settle(): void {
      for (const pair of grown) if (counts[pair]! >= least) queue.push(key(pair));
      grown.clear();
    },
    /** The most frequent pair and the words that may hold it. */
    takeBest(): { left: number; right: number; words: readonly number[]; again: boolean } | undefined {
      for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
        const pair = top % MOST_PAIRS;
        const now = key(pair);
        if (counts[pair]! < least) continue;
        if (now > top) queue.push(now);
        else if (now === top) {
          const best = { left: lefts[pair]!, right: rights[pair]!, words: places[pair]!, again: taken.has(pair) };
          places[pair] = [];
          taken.add(pair);
          return best;
        }
      }
      return undefined;
    },
  };
}

/** Numbers pairs in the order in which they are seen, −1 for those that may not be joined: open addressing, half full at most. */
function pairIndex(joins: (left: number, right: number) => boolean) {
  let size = 1 << 16;
  let slots = new Int32Array(3 * size);
  let used = 0;
  const [lefts, rights]: [number[], number[]] = [[], []];
  const slotOf = (left: number, right: number): number => {
    let at = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & (size - 1);
    // A slot holds left + 1 (0: empty), right, and the pair's number.
    while (slots[3 * at] !== 0 && (slots[3 * at] !== left + 1 || slots[3 * at + 1] !== right)) at = (at + 1) & (size - 1);
    return 3 * at;
  };
  const grow = (): void => {
    const old = slots;
    size *= 2;
    slots = new Int32Array(3 * size);
    for (let s = 0; s < old.length; s += 3) if (old[s] !== 0) slots.set(old.subarray(s, s + 3), slotOf(old[s]! - 1, old[s + 1]!));
  };
  return {
    lefts: lefts as readonly number[],
    rights: rights as readonly number[],
    indexOf(left: number, right: number): number {
      let slot = slotOf(left, right);
      if (slots[slot] !== 0) return slots[slot + 2]!;
      if (2 * ++used > size) {
        grow();
        slot = slotOf(left, right);
      }
      const joined = joins(left, right);
      slots[slot] = left + 1;
      slots[slot + 1] = right;
      slots[slot + 2] = joined ? lefts.length : -1;
      if (joined) {
        lefts.push(left);
        rights.push(right);
      }
      return slots[slot + 2]!;
    },
  };
}
