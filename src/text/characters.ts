/** First-level symbols of characters: from UTF-8 (▁ as one byte) to ids. */
import { LENGTH_OF, META } from './pieces.ts';

const META_POINT = 0x2581;
const BASIC = 0x10000;

/** Code point of the character at `at`, of `length` bytes. */
export function codePointAt(bytes: Uint8Array, at: number, length: number): number {
  const lead = bytes[at]!;
  if (length === 1) return lead === META ? META_POINT : lead;
  if (length === 2) return ((lead & 0x1f) << 6) | (bytes[at + 1]! & 0x3f);
  if (length === 3) return ((lead & 0xf) << 12) | ((bytes[at + 1]! & 0x3f) << 6) | (bytes[at + 2]! & 0x3f);
  return ((lead & 7) << 18) | ((bytes[at + 1]! & 0x3f) << 12) | ((bytes[at + 2]! & 0x3f) << 6) | (bytes[at + 3]! & 0x3f);
}

/** Id of each known character. */
export interface Characters {
  /** −1 for a character without id. */
  idOf(codePoint: number): number;
}

export function characters(ids: ReadonlyMap<number, number>): Characters {
  const basic = new Int32Array(BASIC).fill(-1);
  for (const [point, id] of ids) if (point < BASIC) basic[point] = id;
  return { idOf: (point) => (point < BASIC ? basic[point]! : (ids.get(point) ?? -1)) };
}

/** Symbols of a text and where each ends; reused from text to text. */
export class Symbols {
  ids = new Int32Array(1024);
  ends = new Int32Array(1024);
  count = 0;

  clear(most: number): void {
    this.count = 0;
    if (this.ids.length < most) [this.ids, this.ends] = [new Int32Array(2 * most), new Int32Array(2 * most)];
  }

  push(id: number, end: number): void {
    this.ids[this.count] = id;
    this.ends[this.count++] = end;
  }
}

/** Length of the character at `at`, cut off at `end`. */
export const lengthAt = (bytes: Uint8Array, at: number, end: number): number => Math.min(LENGTH_OF[bytes[at]!]!, end - at);
