/** The characters that a vocabulary must have, and what decides which of them may stand together in a piece. */
import { RESERVED } from './counts.ts';
import type { TrainerOptions } from './options.ts';
import { scriptOf } from './scripts.ts';

/** Symbols of a training text: the end of a word, a character outside the alphabet, then the alphabet. */
export const [END, UNKNOWN, FIRST] = [0, 1, 2] as const;

/** Every array is by symbol. */
export interface Alphabet {
  /** Empty for END and UNKNOWN; ' ' is the blank. */
  readonly characters: readonly string[];
  readonly counts: Float64Array;
  /** Number of a script, the same for characters that may be joined; −1 joins with any. */
  readonly scripts: Int16Array;
  readonly digits: Uint8Array;
  readonly blank: number;
  /** Symbol of a code point: UNKNOWN where the alphabet lacks it. */
  symbolOf(codePoint: number): number;
}

/** Frequent characters first, until the share `characterCoverage` of all is covered; required ones before all others. */
export function alphabetOf(words: ReadonlyMap<string, number>, options: TrainerOptions): Alphabet {
  const counted = countCharacters(words);
  const required = new Set(Array.from(options.requiredChars.replaceAll('\u2581', ' '), (c) => c.codePointAt(0)!));
  for (const code of required) if (!counted.has(code)) counted.set(code, 0);
  const all = [...counted.values()].reduce((a, b) => a + b, 0);
  const inOrder = [...counted].sort(([a, n], [b, m]) => Number(required.has(b)) - Number(required.has(a)) || m - n || a - b);
  const chosen: (readonly [number, number])[] = [];
  let covered = 0;
  // Single precision, as SentencePiece compares: 0.9995 is not the same number in double.
  const wanted = Math.fround(options.characterCoverage);
  for (const [code, count] of inOrder) {
    if (!required.has(code) && Math.fround(covered / all) >= wanted) break;
    covered += count;
    if (code !== RESERVED.codePointAt(0)) chosen.push([code, count]);
  }
  return describe(chosen, options);
}

function countCharacters(words: ReadonlyMap<string, number>): Map<number, number> {
  const counted = new Map<number, number>();
  for (const [word, count] of words)
    for (let i = 0; i < word.length; i++) {
      const code = word.codePointAt(i)!;
      if (code > 0xffff) i++;
      if (code !== 0) counted.set(code, (counted.get(code) ?? 0) + count);
    }
  return counted;
}

function describe(chosen: readonly (readonly [number, number])[], options: TrainerOptions): Alphabet {
  const characters = ['', '', ...chosen.map(([code]) => String.fromCodePoint(code))];
  const symbols = new Map(chosen.map(([code], i) => [code, FIRST + i]));
  const digits = Uint8Array.from(characters, (c) => Number(/^[0-9０-９]$/.test(c)));
  return {
    characters,
    counts: Float64Array.from([0, 0, ...chosen.map(([, count]) => count)]),
    scripts: Int16Array.from(characters, (c, i) => (digits[i] && !options.splitByNumber ? -1 : scriptOf(c))),
    digits,
    blank: symbols.get(0x20) ?? UNKNOWN,
    symbolOf: (code) => symbols.get(code) ?? UNKNOWN,
  };
}

/** Whether symbols `from` … `to`−1 of a text may be one piece. SentencePiece's rules; no END or UNKNOWN is among them. */
export function pieceRule(
  { scripts, digits, blank }: Alphabet,
  options: TrainerOptions,
): (text: Int32Array, from: number, to: number) => boolean {
  const { splitByUnicodeScript, splitDigits, maxSentencepieceLength: longest } = options;
  const blanks = blankRule(options);
  return (text, from, to) => {
    if (to - from > longest) return false;
    let script = -1;
    for (let i = from; i < to; i++) {
      const symbol = text[i]!;
      if (symbol === blank) continue;
      if (splitDigits && digits[symbol] && to - from > 1) return false;
      const own = scripts[symbol] === INHERITED ? script : scripts[symbol]!;
      if (splitByUnicodeScript && own >= 0 && script >= 0 && own !== script) return false;
      script = own;
    }
    return blanks(text, from, to, blank);
  };
}

/** Whether no piece can hold both of two neighbours; a blank, and marks that take the script of what is before them, are with whatever stands there. */
export function parted({ scripts, digits, blank }: Alphabet, { splitByUnicodeScript, splitDigits }: TrainerOptions) {
  return (a: number, b: number): boolean => {
    if (a <= UNKNOWN || b <= UNKNOWN || (splitDigits && (digits[a] || digits[b]))) return true;
    if (!splitByUnicodeScript || a === blank || b === blank) return false;
    const [first, second] = [scripts[a]!, scripts[b]!];
    return first >= 0 && second >= 0 && first !== second && first !== INHERITED && second !== INHERITED;
  };
}

/** Marks that take the script of what they stand on. */
const INHERITED = scriptOf('\u0301');

/** Blanks stand at one end of a piece, or (where words are not split) at neither end's inside; alone only where that is allowed. */
function blankRule(options: TrainerOptions): (text: Int32Array, from: number, to: number, blank: number) => boolean {
  const { splitByWhitespace: split, treatWhitespaceAsSuffix: suffix, allowWhitespaceOnlyPieces: alone } = options;
  return (text, from, to, blank) => {
    let [first, last, blanks] = [-1, -1, 0];
    for (let i = from; i < to; i++) {
      if (text[i] !== blank) continue;
      if (first < 0) first = i;
      last = i;
      blanks++;
    }
    if (blanks === 0 || (alone && blanks === to - from)) return true;
    // Split: the one blank begins the piece (ends it). Not split: none ends a longer piece (begins it).
    if (suffix) return split ? first === to - 1 : first > from || to - from === 1;
    return split ? last === from : last < to - 1 || to - from === 1;
  };
}
