/** Words of a text and how often each occurs, counted as the text comes: memory grows with the distinct words, not with the text. */
import { metaPieces } from './meta-pieces.ts';
import type { TrainerOptions } from './options.ts';

/**
 * Stands for a meta piece that was written out in the text, and is never in an alphabet: no piece reaches over it.
 * SentencePiece's trainer reserves it: lines that hold it are passed over.
 */
export const RESERVED = '\u2585';
/** V8 lets a slice of this length or more keep the whole text that it was cut from. */
const SLICE = 13;

export interface CountedWords {
  /** Words with a blank for SentencePiece's ▁. */
  readonly counts: ReadonlyMap<string, number>;
  /** How often a word was the last of its line; nothing for those that never were. */
  readonly last: ReadonlyMap<string, number>;
}

export interface WordCounter extends CountedWords {
  /** Counts the lines of a text. */
  add(text: string): void;
  /** Lines counted, and lines passed over because they are too long or hold U+2585. */
  readonly lines: number;
  readonly skipped: number;
}

/** `normalize`: a line → the line that pieces are found in, blanks as `▁`. */
export function wordCounter(options: TrainerOptions, normalize: (line: string) => string): WordCounter {
  const [counts, last] = [new Map<string, number>(), new Map<string, number>()];
  const [words, meta] = [wordPattern(options), metaPattern(options)];
  let [lines, skipped] = [0, 0];
  const count = (of: Map<string, number>, word: string): void => {
    const known = of.get(word);
    of.set(known === undefined && word.length >= SLICE ? copyOf(word) : word, (known ?? 0) + 1);
  };
  return {
    counts,
    last,
    get lines() {
      return lines;
    },
    get skipped() {
      return skipped;
    },
    add(text) {
      for (const line of text.split('\n')) {
        if (line === '') continue;
        if (line.includes(RESERVED) || longerThan(line, options.maxSentenceLength)) {
          skipped++;
          continue;
        }
        lines++;
        const normal = normalize(line).replaceAll('\u2581', ' ').replaceAll(meta, RESERVED);
        const found = options.splitByWhitespace ? (normal.match(words) ?? []) : [normal];
        for (const word of found) count(counts, word);
        if (found.length > 0) count(last, found.at(-1)!);
      }
    },
  };
}

function longerThan(line: string, bytes: number): boolean {
  return line.length * 3 > bytes && (line.length > bytes || encoder.encode(line).length > bytes);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const copyOf = (word: string): string => decoder.decode(encoder.encode(word));

/** A blank begins a word, or ends it; a run of blanks is as many words, or one where pieces of blanks alone are allowed. */
function wordPattern({ treatWhitespaceAsSuffix: suffix, allowWhitespaceOnlyPieces: runs }: TrainerOptions): RegExp {
  const blank = runs ? ' +' : ' ';
  return new RegExp(suffix ? `[^ ]*${blank}|[^ ]+` : `${blank}[^ ]*|[^ ]+`, 'g');
}

/** Any meta piece, the longest first. */
function metaPattern(options: TrainerOptions): RegExp {
  const bytes = /^<0x[0-9A-F]{2}>$/;
  const names = [...metaPieces(options).values()].map(({ piece }) => piece.replaceAll('\u2581', ' '));
  const others = names.filter((name) => !bytes.test(name)).sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const patterns = others.map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return new RegExp([...patterns, ...(options.byteFallback ? ['<0x[0-9A-F]{2}>'] : [])].join('|'), 'g');
}
