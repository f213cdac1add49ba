/** Byte-level BPE tokenizer: any text ↔ ids, without loss. */
import { spell } from './alphabet.ts';
import { type Merge, mergeEncoder } from './merges.ts';
import { type TokenizerJson, writeJson } from './tokenizer-json.ts';
import { words } from './words.ts';

/** Begin of sequence and padding are one id (reference 6.2). */
const BOS = 0;
const EOS = 1;
/** Special pieces by id: they stand for no bytes, and no text encodes to them. */
export const SPECIALS = ['<pad>', '</s>'] as const;

export interface Tokenizer {
  readonly vocabSize: number;
  /** What the model reads before the first token: `<s>`, or `<pad>` where there is none. */
  readonly bos: number | undefined;
  /** `</s>`: ends a document. */
  readonly eos: number | undefined;
  /** Ids of a text, no specials added; the characters `</s>` in a text are only characters. Lone surrogates become U+FFFD. */
  encode(text: string): number[];
  encodeWithOffsets(text: string): Encoding;
  /** Text of ids; specials are skipped, ill-formed bytes become U+FFFD. */
  decode(ids: Iterable<number>): string;
  /** A piece for the eye: `␣` for a space, `\n`, `\xE4` for bytes that are no whole character. */
  pieceOf(id: number): string;
  /** Bytes that an id stands for; none for specials and for ids outside the vocabulary. */
  bytesOf(id: number): Uint8Array;
  streamDecoder(): StreamDecoder;
  /** Hugging Face's tokenizer.json, as the official `tokenizers` reads it. */
  toJSON(): object;
}

export interface Encoding {
  readonly ids: number[];
  /** Of each id, the first code point of the text that it stands for, and the one after the last. */
  readonly offsets: (readonly [start: number, end: number])[];
}

/** Decodes ids as they come, whole characters only. */
export interface StreamDecoder {
  push(id: number): string;
  /** U+FFFD when a character was left unfinished. */
  flush(): string;
}

/** What defines a tokenizer: byte strings by id (specials empty) and merges by rank. */
export interface Vocabulary {
  readonly pieces: readonly Uint8Array[];
  readonly merges: readonly Merge[];
}

/** Words whose encoding is remembered: long ones rarely come again. */
const CACHED_LENGTH = 48;
const CACHED_WORDS = 200_000;
const NO_BYTES = new Uint8Array(0);

/** Trained here: its file is known in full. */
export interface ByteLevelTokenizer extends Tokenizer {
  readonly bos: number;
  readonly eos: number;
  toJSON(): TokenizerJson;
}

export function tokenizer(vocabulary: Vocabulary): ByteLevelTokenizer {
  const { pieces, merges } = vocabulary;
  const idOfByte: number[] = [];
  pieces.forEach((p, id) => p.length === 1 && (idOfByte[p[0]!] = id));
  const bytesOf = (id: number): Uint8Array => pieces[id] ?? NO_BYTES;
  return {
    vocabSize: pieces.length,
    bos: BOS,
    eos: EOS,
    encode: textEncoder(mergeEncoder(merges, idOfByte, pieces.length)),
    encodeWithOffsets: () => ({ ids: [], offsets: [] }),
    decode(ids) {
      const decoder = utf8();
      let text = '';
      for (const id of ids) text += decoder.decode(bytesOf(id), { stream: true });
      return text + decoder.decode();
    },
    pieceOf: (id) => SPECIALS[id] ?? readable(bytesOf(id)),
    bytesOf,
    streamDecoder() {
      const decoder = utf8();
      return { push: (id) => decoder.decode(bytesOf(id), { stream: true }), flush: () => decoder.decode() };
    },
    toJSON: () => writeJson(vocabulary, spell),
  };
}

/** A byte-order mark is text like any other. */
const utf8 = (): TextDecoder => new TextDecoder('utf-8', { ignoreBOM: true });

function textEncoder(encodeWord: (bytes: Uint8Array) => number[]): (text: string) => number[] {
  const cache = new Map<string, readonly number[]>();
  const encoder = new TextEncoder();
  const idsOf = (word: string): readonly number[] => {
    const known = cache.get(word);
    if (known) return known;
    const ids = encodeWord(encoder.encode(word));
    if (word.length <= CACHED_LENGTH) {
      if (cache.size >= CACHED_WORDS) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  };
  return (text) => {
    const ids: number[] = [];
    for (const word of words(text)) for (const id of idsOf(word)) ids.push(id);
    return ids;
  };
}

const ESCAPES: Readonly<Record<string, string>> = { ' ': '␣', '\n': '\\n', '\t': '\\t', '\r': '\\r' };
const hex = (code: number): string => `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`;

export function readable(bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (b) => (b === 0x20 ? '␣' : b > 0x20 && b < 0x7f ? String.fromCharCode(b) : hex(b))).join('');
  }
  return text.replaceAll(/[ \p{Cc}]/gu, (c) => ESCAPES[c] ?? hex(c.codePointAt(0)!));
}
