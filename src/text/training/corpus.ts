/** Counted words as one array of symbols, cut where no piece can reach over: what is found in the parts is what is found in the words. */
import { type Alphabet, END, parted, UNKNOWN } from './characters.ts';
import type { CountedWords } from './counts.ts';
import type { TrainerOptions } from './options.ts';

export interface Corpus {
  /** Symbols of all parts, END after each. */
  readonly text: Int32Array;
  /** Where each part begins, and where the last ends. */
  readonly starts: Int32Array;
  /** Occurrences of each part. */
  readonly counts: Float64Array;
  /** The symbol that follows each part wherever it occurs, END at the end of a line; SEVERAL where it is not the same everywhere. */
  readonly follows: Int32Array;
}

export const SEVERAL = -1;

interface Part {
  count: number;
  follows: number;
}

/** Most frequent parts first, ties by their text: the same words give the same corpus, in whatever order they were read. */
export function layOut(words: CountedWords, alphabet: Alphabet, options: TrainerOptions): Corpus {
  const { symbolOf } = alphabet;
  const parts = [...partsOf(words, alphabet, options)].sort(([a, { count: n }], [b, { count: m }]) => m - n || (a < b ? -1 : 1));
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
  const counts = Float64Array.from(parts, ([, { count }]) => count);
  return { text: text.subarray(0, to), starts, counts, follows: Int32Array.from(parts, ([, { follows }]) => follows) };
}

/** Parts of words, without unknown characters. */
function partsOf({ counts, last }: CountedWords, alphabet: Alphabet, options: TrainerOptions): Map<string, Part> {
  const { symbolOf } = alphabet;
  const apart = parted(alphabet, options);
  const parts = new Map<string, Part>();
  for (const [word, count] of counts) {
    let [from, before] = [0, UNKNOWN as number];
    const cut = (to: number, follows: number): void => {
      if (to > from && before !== UNKNOWN) add(parts, word.slice(from, to), { count, follows });
      from = to;
    };
    for (let i = 0; i < word.length; i++) {
      const code = word.codePointAt(i)!;
      const symbol = symbolOf(code);
      if (i > 0 && apart(before, symbol)) cut(i, symbol);
      before = symbol;
      if (code > 0xffff) i++;
    }
    cut(word.length, afterWord(count, last.get(word) ?? 0, { blank: alphabet.blank, suffix: options.treatWhitespaceAsSuffix }));
  }
  return parts;
}

function add(parts: Map<string, Part>, text: string, { count, follows }: Part): void {
  const known = parts.get(text);
  if (!known) parts.set(text, { count, follows });
  else {
    known.count += count;
    if (known.follows !== follows) known.follows = SEVERAL;
  }
}

/** What is behind a word: the blank of the next, or (where blanks end words) its first character, which is any; nothing behind the last of a line. */
function afterWord(count: number, last: number, { blank, suffix }: { blank: number; suffix: boolean }): number {
  if (last === count) return END;
  return last > 0 || suffix ? SEVERAL : blank;
}
