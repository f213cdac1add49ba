/** Counted words as one array of symbols. */
import { type Alphabet, END } from './characters.ts';

export interface Corpus {
  /** Symbols of all words, END after each. */
  readonly text: Int32Array;
  /** Where each word begins, and where the last ends. */
  readonly starts: Int32Array;
  /** Occurrences of each word. */
  readonly counts: Float64Array;
}

/** Most frequent words first, ties by their text: the same words give the same corpus, in whatever order they were read. */
export function layOut(words: ReadonlyMap<string, number>, { symbolOf }: Alphabet): Corpus {
  const sorted = [...words].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  // UTF-16 units are at least as many as characters.
  const text = new Int32Array(sorted.reduce((n, [word]) => n + word.length + 1, 0));
  const starts = new Int32Array(sorted.length + 1);
  let to = 0;
  sorted.forEach(([word], w) => {
    for (let i = 0; i < word.length; i++) {
      const code = word.codePointAt(i)!;
      if (code > 0xffff) i++;
      text[to++] = symbolOf(code);
    }
    text[to++] = END;
    starts[w + 1] = to;
  });
  return { text: text.subarray(0, to), starts, counts: Float64Array.from(sorted, ([, count]) => count) };
}
