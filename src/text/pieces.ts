/** Byte strings as segmenters see them, and the lists of pieces they make. */

/** Stands for ▁ (U+2581), three bytes of UTF-8; this byte occurs in no UTF-8. So a word's mark is one step of a trie. */
export const META = 0xff;
/** Length of ▁ in UTF-8. */
export const META_LENGTH = 3;

/** Bytes that the character beginning with a byte has. */
export const LENGTH_OF = Uint8Array.from({ length: 256 }, (_, b) => (b < 0xc0 || b === META ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4));

const encoder = new TextEncoder();

/** UTF-8 with ▁ as one byte, in place; returns the new length. */
export function squeeze(bytes: Uint8Array, from: number, end: number): number {
  let to = from;
  for (let i = from; i < end; i++) {
    if (bytes[i] === 0xe2 && bytes[i + 1] === 0x96 && bytes[i + 2] === 0x81 && i + 2 < end) {
      bytes[to++] = META;
      i += 2;
    } else bytes[to++] = bytes[i]!;
  }
  return to;
}

/** A text's bytes with ▁ as one. */
export function squeezed(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return bytes.subarray(0, squeeze(bytes, 0, bytes.length));
}

/** Pieces in order: their ids, and where each ends among the bytes. */
export class Pieces {
  ids = new Int32Array(256);
  ends = new Int32Array(256);
  count = 0;

  push(id: number, end: number): void {
    if (this.count === this.ids.length) this.reserve(1);
    this.ids[this.count] = id;
    this.ends[this.count++] = end;
  }

  /** Room for `more`. */
  reserve(more: number): void {
    if (this.count + more <= this.ids.length) return;
    const capacity = Math.max(this.count + more, 2 * this.ids.length);
    const [ids, ends] = [new Int32Array(capacity), new Int32Array(capacity)];
    ids.set(this.ids.subarray(0, this.count));
    ends.set(this.ends.subarray(0, this.count));
    [this.ids, this.ends] = [ids, ends];
  }
}

/** Cuts byte strings into pieces. */
export interface Segmenter {
  /** Appends the pieces of `bytes[from, to)`: ids in the vocabulary, one of unknown per unknown character. */
  segment(bytes: Uint8Array, from: number, to: number, out: Pieces): void;
}
