/** Seed pieces of Unigram: the frequent substrings of words, and the lattice of all places where they stand. */
import { type Alphabet, FIRST, pieceRule } from './characters.ts';
import { type Corpus, SEVERAL } from './corpus.ts';
import type { Lattice, Pieces } from './lattice.ts';
import type { TrainerOptions } from './options.ts';
import { type Suffixes, sortSuffixes } from './suffixes.ts';

/** A run of suffixes that begin with the same `length` symbols, `score` = occurrences × length. */
interface Candidates {
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly lengths: Uint16Array;
  readonly scores: Float64Array;
  readonly count: number;
}

interface Seeded {
  readonly lattice: Lattice;
  readonly seeds: Omit<Pieces, 'scores'>;
  /** By piece: occurrences × characters, what the first probabilities are in proportion to. */
  readonly weights: Float64Array;
}

/** Pieces of one character come first, by symbol (the unknown one is 0); then substrings, the best roughly first. */
export async function seedPieces(
  corpus: Corpus,
  alphabet: Alphabet,
  { options, breathe }: { options: TrainerOptions; breathe: () => Promise<boolean> | false },
): Promise<Seeded> {
  const suffixes = sortSuffixes(corpus.text, options.maxSentencepieceLength);
  await breathe();
  const found = candidates(corpus, suffixes, pieceRule(alphabet, options));
  await breathe();
  const chosen = bestFirst(found, options.seedSentencepieceSize);
  const singles = alphabet.characters.length - 1;
  const count = singles + chosen.length;
  const weights = new Float64Array(count);
  const places = new Int32Array(count).fill(-1);
  const lengths = new Uint16Array(count).fill(1);
  for (let s = FIRST; s < alphabet.characters.length; s++) weights[s - 1] = alphabet.counts[s]!;
  chosen.forEach((c, i) => {
    weights[singles + i] = found.scores[c]!;
    places[singles + i] = suffixes.order[found.from[c]!]!;
    lengths[singles + i] = found.lengths[c]!;
  });
  const nodes = latticeNodes(corpus.text, suffixes, { found, chosen, singles });
  await breathe();
  return { lattice: { ...corpus, ...nodes }, seeds: { count, singles, places, lengths }, weights };
}

/** Every substring of two characters or more that occurs twice, is not always followed by the same, and may be a piece. */
function candidates(
  corpus: Corpus,
  { order, shared, left }: Suffixes,
  allowed: (text: Int32Array, from: number, to: number) => boolean,
): Candidates {
  const { text, follows } = corpus;
  const partOf = partsByPosition(corpus);
  const total = occurrences(corpus, order, partOf);
  const out = growing();
  // Open runs of suffixes, each deeper than the one below it.
  const [begins, depths] = [[0], [0]];
  /** Whether what begins the suffixes of a run goes on in more than one way. Those that it ends are sorted before those that it does not. */
  const branches = (begin: number, end: number, depth: number): boolean => {
    if (left[order[end - 1]!]! > depth) return true;
    const first = follows[partOf[order[begin]!]!]!;
    for (let k = begin; k < end; k++) {
      const next = follows[partOf[order[k]!]!]!;
      if (next === SEVERAL || next !== first || left[order[k]!]! > depth) return true;
    }
    return false;
  };
  const close = (end: number, depth: number, begin: number): void => {
    const count = total[end]! - total[begin]!;
    const at = order[begin]!;
    if (depth >= 2 && count >= 2 && allowed(text, at, at + depth) && branches(begin, end, depth))
      out.push({ from: begin, to: end, length: depth, score: count * depth });
  };
  for (let k = 0; k < order.length; k++) {
    const next = k + 1 < order.length ? shared[k + 1]! : 0;
    // The end of a part that nothing else shares is a run of its own.
    const whole = left[order[k]!]!;
    if (whole > next && whole > depths.at(-1)!) close(k + 1, whole, k);
    let begin = k;
    while (depths.at(-1)! > next) {
      begin = begins.pop()!;
      close(k + 1, depths.pop()!, begin);
    }
    if (depths.at(-1)! < next) {
      begins.push(begin);
      depths.push(next);
    }
  }
  return out.done();
}

function partsByPosition({ text, starts, counts }: Corpus): Int32Array {
  const partOf = new Int32Array(text.length);
  for (let p = 0; p < counts.length; p++) partOf.fill(p, starts[p]!, starts[p + 1]!);
  return partOf;
}

/** Occurrences of the first k suffixes: a suffix occurs as often as its part. */
function occurrences({ counts }: Corpus, order: Int32Array, partOf: Int32Array): Float64Array {
  const total = new Float64Array(order.length + 1);
  for (let k = 0; k < order.length; k++) total[k + 1] = total[k]! + counts[partOf[order[k]!]!]!;
  return total;
}

function growing() {
  let capacity = 1 << 16;
  let count = 0;
  let columns = {
    from: new Int32Array(capacity),
    to: new Int32Array(capacity),
    lengths: new Uint16Array(capacity),
    scores: new Float64Array(capacity),
  };
  return {
    push({ from, to, length, score }: { from: number; to: number; length: number; score: number }): void {
      if (count === capacity) {
        capacity *= 2;
        const old = columns;
        columns = {
          from: new Int32Array(capacity),
          to: new Int32Array(capacity),
          lengths: new Uint16Array(capacity),
          scores: new Float64Array(capacity),
        };
        for (const key of ['from', 'to', 'lengths', 'scores'] as const) columns[key].set(old[key]);
      }
      columns.from[count] = from;
      columns.to[count] = to;
      columns.lengths[count] = length;
      columns.scores[count++] = score;
    },
    done: (): Candidates => ({ ...columns, count }),
  };
}

/** Buckets of scores to an octave: their order is all that memory needs. */
const BUCKETS = 8;

/** At most `most` candidates, those of the highest score, roughly in falling order: the pieces of one cache line are used together. */
function bestFirst({ scores, count }: Candidates, most: number): Int32Array {
  const least = count > most ? scores.slice(0, count).sort()[count - most]! : 0;
  let ties = most;
  for (let c = 0; c < count; c++) if (scores[c]! > least) ties--;
  const bucketOf = (c: number): number => Math.floor(Math.log2(scores[c]!) * BUCKETS);
  const ends = new Int32Array(64 * BUCKETS + 1);
  const taken = new Uint8Array(count);
  for (let c = 0; c < count; c++) {
    if (scores[c]! < least || (scores[c] === least && ties-- <= 0)) continue;
    taken[c] = 1;
    ends[bucketOf(c)]!++;
  }
  for (let b = ends.length - 2; b >= 0; b--) ends[b]! += ends[b + 1]!;
  const chosen = new Int32Array(ends[0]!);
  for (let c = count - 1; c >= 0; c--) if (taken[c]) chosen[--ends[bucketOf(c)]!] = c;
  return chosen;
}

/** For each position the pieces that begin there, short ones first: a suffix is within the runs of all pieces that it begins with. */
function latticeNodes(
  text: Int32Array,
  { order }: Suffixes,
  { found, chosen, singles }: { found: Candidates; chosen: Int32Array; singles: number },
): Pick<Lattice, 'nodes' | 'ids' | 'lengths'> {
  const opening = byBegin(found, chosen, order.length);
  const nodes = new Int32Array(text.length + 1);
  sweep(order, { found, chosen, ...opening }, (k, _, depth) => (nodes[order[k]! + 1] = depth));
  for (let i = 0; i < text.length; i++) nodes[i + 1]! += nodes[i]! + (text[i]! > 0 ? 1 : 0);
  const count = nodes[text.length]!;
  const ids = new Int32Array(count);
  const lengths = new Uint16Array(count);
  for (let i = 0; i < text.length; i++) {
    if (text[i] === 0) continue;
    ids[nodes[i]!] = text[i]! - 1;
    lengths[nodes[i]!] = 1;
  }
  sweep(order, { found, chosen, ...opening }, (k, stack, depth) => {
    let to = nodes[order[k]!]! + 1;
    for (let s = 0; s < depth; s++, to++) {
      ids[to] = singles + stack[s]!;
      lengths[to] = found.lengths[chosen[stack[s]!]!]!;
    }
  });
  return { nodes, ids, lengths };
}

/** Chosen runs by where they begin; of those that begin together the longest run (the shortest piece) first. */
function byBegin({ from, lengths }: Candidates, chosen: Int32Array, suffixes: number): { first: Int32Array; sorted: Int32Array } {
  const first = new Int32Array(suffixes + 2);
  for (const c of chosen) first[from[c]! + 1]!++;
  for (let k = 0; k <= suffixes; k++) first[k + 1]! += first[k]!;
  const sorted = new Int32Array(chosen.length);
  const next = first.slice();
  for (let i = 0; i < chosen.length; i++) sorted[next[from[chosen[i]!]!]!++] = i;
  for (let k = 0; k < suffixes; k++)
    if (first[k + 1]! - first[k]! > 1)
      sorted.subarray(first[k]!, first[k + 1]!).sort((a, b) => lengths[chosen[a]!]! - lengths[chosen[b]!]!);
  return { first, sorted };
}

/** Calls `visit` for each suffix with the chosen runs that hold it, outermost first. */
function sweep(
  order: Int32Array,
  { found, chosen, first, sorted }: { found: Candidates; chosen: Int32Array; first: Int32Array; sorted: Int32Array },
  visit: (k: number, stack: readonly number[], depth: number) => void,
): void {
  const stack: number[] = [];
  for (let k = 0; k < order.length; k++) {
    while (stack.length > 0 && found.to[chosen[stack.at(-1)!]!]! <= k) stack.pop();
    for (let s = first[k]!; s < first[k + 1]!; s++) stack.push(sorted[s]!);
    visit(k, stack, stack.length);
  }
}
