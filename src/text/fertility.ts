/** How finely a tokenizer cuts texts: bytes a token, tokens a word (fertility), unknown tokens and bytes, and how much of its vocabulary it uses. */
import type { Tokenizer } from './tokenizer.ts';

export interface Fertility {
  readonly documents: number;
  /** Of UTF-8. */
  readonly bytes: number;
  /** By Unicode's word boundaries and dictionaries, punctuation and blanks not counted: also where no blanks are written. */
  readonly words: number;
  readonly tokens: number;
  /** Tokens that stand for no text. */
  readonly unknown: number;
  /** Tokens that stand for a byte, or for bytes that are no whole characters. */
  readonly byteFallback: number;
}

export interface FertilityMeter {
  /** Encodes a document of a group, such as a domain in a language. */
  add(group: string, text: string): void;
  readonly groups: ReadonlyMap<string, Fertility>;
  /** Pieces of the vocabulary that occurred. */
  used(): number;
}

const NOTHING: Fertility = { documents: 0, bytes: 0, words: 0, tokens: 0, unknown: 0, byteFallback: 0 };

/** `wordsIn` counts the words of a text: once for all tokenizers. */
export function fertilityMeter(tokenizer: Tokenizer, wordsIn: (text: string) => number): FertilityMeter {
  const kinds = Uint8Array.from({ length: tokenizer.vocabSize }, (_, id) => kindOf(tokenizer, id));
  const seen = new Uint8Array(tokenizer.vocabSize);
  const groups = new Map<string, Fertility>();
  return {
    groups,
    used: () => seen.reduce((a, b) => a + b, 0),
    add(group, text) {
      const ids = tokenizer.encode(text);
      let [unknown, byteFallback] = [0, 0];
      for (const id of ids) {
        seen[id] = 1;
        if (kinds[id] === UNKNOWN) unknown++;
        else if (kinds[id] === BYTES) byteFallback++;
      }
      const before = groups.get(group) ?? NOTHING;
      groups.set(group, {
        documents: before.documents + 1,
        bytes: before.bytes + encoder.encode(text).length,
        words: before.words + wordsIn(text),
        tokens: before.tokens + ids.length,
        unknown: before.unknown + unknown,
        byteFallback: before.byteFallback + byteFallback,
      });
    },
  };
}

const encoder = new TextEncoder();
const utf8 = new TextDecoder('utf-8', { fatal: true });
const [TEXT, UNKNOWN, BYTES] = [0, 1, 2] as const;

function kindOf(tokenizer: Tokenizer, id: number): number {
  const bytes = tokenizer.bytesOf(id);
  if (bytes.length === 0) return UNKNOWN;
  if (bytes.length === 1 && /^<0x[0-9A-F]{2}>$/.test(tokenizer.pieceOf(id))) return BYTES;
  try {
    utf8.decode(bytes);
    return TEXT;
  } catch {
    return BYTES;
  }
}

/** Counts words as Unicode cuts them (UAX 29, dictionaries for scripts without blanks). */
export function wordCount(): (text: string) => number {
  const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
  return (text) => {
    let words = 0;
    for (const { isWordLike } of segmenter.segment(text)) if (isWordLike) words++;
    return words;
  };
}

/** Totals of several groups. */
export const sumOf = (all: Iterable<Fertility>): Fertility => [...all].reduce(plus, NOTHING);

const plus = (a: Fertility, b: Fertility): Fertility => ({
  documents: a.documents + b.documents,
  bytes: a.bytes + b.bytes,
  words: a.words + b.words,
  tokens: a.tokens + b.tokens,
  unknown: a.unknown + b.unknown,
  byteFallback: a.byteFallback + b.byteFallback,
});
