/** Counted words as one array of symbols, cut where no piece can reach over: what is found in the parts is what is found in the words. */
import { type Alphabet, END, parted, UNKNOWN } from './characters.ts';
import type { TrainerOptions } from './options.ts';

export interface Corpus {
  /** Symbols of all parts, END after each. */
  readonly text: Int32Array;
  /** Where each part begins, and where the last ends. */
  readonly starts: Int32Array;
  /** Occurrences of each part. */
  readonly counts: Float64Array;
}

/** Most frequent parts first, ties by their text: the same words give the same corpus, in whatever order they were read. */
export function layOut(words: ReadonlyMap<string, number>, alphabet: Alphabet, options: TrainerOptions): Corpus {
  const { symbolOf } = alphabet;
  const parts = [...partsOf(words, alphabet, options)].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  // UTF-16 units are at least as many as characters.
  const text = new Int32Array(parts.reduce((n, [part]) => n + part.length + 1, 0));
  const starts = new Int32Array(parts.length + 1);
  let to = 0;
  parts.forEach(([part], p) => {
    for (let i = 0; i < part.length; i++) {
      const code = part.codePointAt(i)!;
      if (code > 0xffff) i++;
      text[to++] = symbolOf(code);
    }
    text[to++] = END;
    starts[p + 1] = to;
  });
  return { text: text.subarray(0, to), starts, counts: Float64Array.from(parts, ([, count]) => count) };
}

/** Parts of words and their counts, without unknown characters. */
function partsOf(words: ReadonlyMap<string, number>, alphabet: Alphabet, options: TrainerOptions): Map<string, number> {
  const { symbolOf } = alphabet;
  const apart = parted(alphabet, options);
  const counts = new Map<string, number>();
  for (const [word, count] of words) {
    let [from, last] = [0, UNKNOWN as number];
    const cut = (to: number): void => {
      if (to > from && last !== UNKNOWN) {
        const part = word.slice(from, to);
        counts.set(part, (counts.get(part) ?? 0) + count);
      }
      from = to;
    };
    for (let i = 0; i < word.length; i++) {
      const code = word.codePointAt(i)!;
      const symbol = symbolOf(code);
      if (i > 0 && apart(last, symbol)) cut(i);
      last = symbol;
      if (code > 0xffff) i++;
    }
    cut(word.length);
  }
  return counts;
}
