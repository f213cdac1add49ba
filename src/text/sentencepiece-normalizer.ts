/** SentencePiece's normalization: replaces by rule, tidies white space, and marks words with ▁. */
import { type Charsmap, readCharsmap } from './charsmap.ts';
import { LENGTH_OF, META } from './pieces.ts';
import type { NormalizerSpec } from './sentencepiece-model.ts';
import { ROOT, type Trie } from './trie.ts';

/** Normalized text in buffers that the next call overwrites. */
export interface Normalized {
  bytes: Uint8Array;
  length: number;
  /** Code point of the source where each byte, and the end, comes from; only filled when offsets are wanted. */
  origin: Int32Array;
}

export interface NormalizerOptions {
  readonly spec: NormalizerSpec;
  readonly whitespaceAsSuffix: boolean;
  /** User-defined pieces, which stay as they are written. */
  readonly verbatim: Trie | undefined;
}

const SPACE = 0x20;

/** Bytes of UTF-8 → normalized bytes, ▁ as META where spaces are escaped. */
export function sentencePieceNormalizer(options: NormalizerOptions): (text: Uint8Array, length: number, offsets: boolean) => Normalized {
  const state = new Writer(options);
  return (text, length, offsets) => state.run(text, length, offsets);
}

/** One pass over a text. Owns the buffers. */
class Writer implements Normalized {
  bytes = new Uint8Array(1024);
  origin = new Int32Array(0);
  length = 0;
  private readonly map: Charsmap | undefined;
  private readonly space: number;
  private readonly options: NormalizerOptions;
  private tracking = false;
  /** Code points read. */
  private consumed = 0;
  /** What the last unit of text becomes. */
  private source: Uint8Array = this.bytes;
  private from = 0;
  private to = 0;

  constructor(options: NormalizerOptions) {
    this.options = options;
    this.map = options.spec.charsmap.length > 0 ? readCharsmap(options.spec.charsmap) : undefined;
    this.space = options.spec.escapeWhitespaces ? META : SPACE;
  }

  run(text: Uint8Array, end: number, offsets: boolean): Normalized {
    const { spec, whitespaceAsSuffix } = this.options;
    [this.length, this.consumed, this.tracking] = [0, 0, offsets];
    this.reserve(end + 8);
    let at = spec.removeExtraWhitespaces ? this.leadingSpaces(text, end) : 0;
    if (at === end) return this.finish();
    if (spec.addDummyPrefix && !whitespaceAsSuffix) this.put(this.space);
    let afterSpace = spec.removeExtraWhitespaces;
    while (at < end) {
      const read = this.unit(text, at, end);
      if (afterSpace) while (this.from < this.to && this.source[this.from] === SPACE) this.from++;
      if (this.from < this.to) {
        afterSpace = spec.removeExtraWhitespaces && this.source[this.to - 1] === SPACE;
        this.copy();
      }
      this.consume(text, at, read);
      at += read;
    }
    if (spec.removeExtraWhitespaces) this.trimEnd();
    if (spec.addDummyPrefix && whitespaceAsSuffix) this.put(this.space);
    return this.finish();
  }

  private finish(): Normalized {
    if (this.tracking) this.origin[this.length] = this.consumed;
    return this;
  }

  private leadingSpaces(text: Uint8Array, end: number): number {
    let at = 0;
    while (at < end) {
      const read = this.unit(text, at, end);
      if (this.to - this.from !== 1 || this.source[this.from] !== SPACE) break;
      this.consume(text, at, read);
      at += read;
    }
    return at;
  }

  private trimEnd(): void {
    while (this.length > 0 && this.bytes[this.length - 1] === this.space) {
      this.length--;
      if (this.tracking) this.consumed = this.origin[this.length]!;
    }
  }

  /** Finds what the next unit becomes: `source[from, to)`. Returns the number of bytes read. */
  private unit(text: Uint8Array, at: number, end: number): number {
    const fixed = this.options.verbatim ? longest(this.options.verbatim, text, at, end) : 0;
    const replaced = fixed === 0 && this.map ? this.map.match(text, at, end) : 0;
    if (replaced > 0) {
      [this.source, this.from, this.to] = [this.map!.bytes, this.map!.from, this.map!.to];
      return replaced;
    }
    const read = fixed || LENGTH_OF[text[at]!]!;
    [this.source, this.from, this.to] = [text, at, at + read];
    return read;
  }

  /** Appends the unit; a space, or ▁ itself, as one mark. */
  private copy(): void {
    const { source, to } = this;
    this.reserve(this.length + to - this.from + 8);
    for (let i = this.from; i < to; i++) {
      const byte = source[i]!;
      if (this.space === META && byte === 0xe2 && source[i + 1] === 0x96 && source[i + 2] === 0x81 && i + 2 < to) {
        this.put(META);
        i += 2;
      } else this.put(byte === SPACE ? this.space : byte);
    }
  }

  private put(byte: number): void {
    if (this.tracking) this.origin[this.length] = this.consumed;
    this.bytes[this.length++] = byte;
  }

  private consume(text: Uint8Array, at: number, read: number): void {
    if (!this.tracking) return;
    for (let i = at; i < at + read; i++) if ((text[i]! & 0xc0) !== 0x80) this.consumed++;
  }

  private reserve(capacity: number): void {
    if (this.bytes.length < capacity) {
      const more = new Uint8Array(2 * capacity);
      more.set(this.bytes.subarray(0, this.length));
      this.bytes = more;
    }
    if (this.tracking && this.origin.length < this.bytes.length) {
      const more = new Int32Array(this.bytes.length);
      more.set(this.origin.subarray(0, this.length));
      this.origin = more;
    }
  }
}

/** Length of the longest string of a trie that begins at `at`; 0 when none does. */
export function longest({ units }: Trie, bytes: Uint8Array, at: number, end: number): number {
  let length = 0;
  let node = ROOT;
  for (let i = at; i < end; i++) {
    const next = units[node]! + 4 * bytes[i]!;
    if (units[next + 1] !== node) break;
    node = next;
    if (units[node + 2]! >= 0) length = i + 1 - at;
  }
  return length;
}
