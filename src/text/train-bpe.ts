/** Training of a byte-level BPE: words of GPT-2's pattern, merged from their bytes on. */
import { EXIT, UserError } from '../base/index.ts';
import { breathing } from './breathe.ts';
import { type ByteLevelTokenizer, type Merge, SPECIALS, tokenizer } from './byte-level.ts';
import { pairLearner, type PairWords } from './training/pair-learner.ts';
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
  const { pieces, vocabulary } = byteStrings();
  const merges: Merge[] = [];
  const next = pairLearner(layOut(counts), vocabulary, 2);
  for (let merge = pieces.length < vocabSize && next(); merge; merge = pieces.length < vocabSize && next()) {
    // A pair that comes back has its rank already.
    if (!merge.again) merges.push({ left: merge.left, right: merge.right, into: merge.into });
    if (await breathe()) onProgress({ phase: 'merge', done: pieces.length, total: vocabSize });
  }
  return tokenizer({ pieces, merges });
}

/** Distinct words as ids in one array, most frequent first. */
function layOut(counts: ReadonlyMap<string, number>): PairWords {
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

/** Specials and bytes, and what is joined from them: a vocabulary holds each string once, however it was built. */
function byteStrings() {
  const pieces: Uint8Array[] = [...SPECIALS.map(() => new Uint8Array(0)), ...Array.from({ length: BYTES }, (_, b) => Uint8Array.of(b))];
  const idOf = new Map(pieces.map((p, id) => [p.join(), id]));
  return {
    pieces,
    vocabulary: {
      joins: () => true,
      join(left: number, right: number): number {
        const bytes = Uint8Array.of(...pieces[left]!, ...pieces[right]!);
        const into = idOf.get(bytes.join()) ?? pieces.length;
        if (into === pieces.length) {
          idOf.set(bytes.join(), into);
          pieces.push(bytes);
        }
        return into;
      },
    },
  };
}
