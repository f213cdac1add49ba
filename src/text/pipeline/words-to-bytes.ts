/** Words of a text as the bytes that a model reads, with the code point that each byte belongs to. */
import { CHARACTER_OF } from '../alphabet.ts';
import { LENGTH_OF, META } from '../pieces.ts';
import type { Words } from './pre-tokenizers.ts';

/** Buffers that the next call overwrites. */
export interface WordBytes {
  bytes: Uint8Array;
  /** From and to of each word among the bytes. */
  cuts: Int32Array;
  /** Code point, in the text, of each byte. */
  points: Int32Array;
}

const encoder = new TextEncoder();
/** Code points of the byte-level alphabet: all have one or two bytes. */
const SPELLING = Uint16Array.from(CHARACTER_OF, (c) => c.charCodeAt(0));

/** A writer with buffers of its own. `squeezed`: ▁ is one byte. */
export function wordWriter(squeezed: boolean): (words: Words) => WordBytes {
  let source = new Uint8Array(1024);
  const out: WordBytes = { bytes: new Uint8Array(2048), cuts: new Int32Array(64), points: new Int32Array(2048) };
  return ({ source: { text }, cuts, bytes: spell }) => {
    if (source.length < 3 * text.length) source = new Uint8Array(6 * text.length);
    const { written } = encoder.encodeInto(text, source);
    // Spelt, a byte has at most two.
    if (out.bytes.length < 2 * written) [out.bytes, out.points] = [new Uint8Array(4 * written), new Int32Array(4 * written)];
    if (out.cuts.length < cuts.length) out.cuts = new Int32Array(2 * cuts.length);
    const { bytes, points } = out;
    let [unit, point, to, cut] = [0, 0, 0, 0];
    for (let at = 0; at < written; point++) {
      while (cut < cuts.length && cuts[cut]! <= unit) out.cuts[cut++] = to;
      const lead = source[at]!;
      const length = LENGTH_OF[lead]!;
      if (squeezed && !spell && lead === 0xe2 && source[at + 1] === 0x96 && source[at + 2] === 0x81) {
        points[to] = point;
        bytes[to++] = META;
      } else {
        for (let i = at; i < at + length; i++) {
          const code = spell ? SPELLING[source[i]!]! : 0;
          points[to] = point;
          if (!spell) bytes[to++] = source[i]!;
          else if (code < 0x80) bytes[to++] = code;
          else {
            bytes[to++] = 0xc0 | (code >> 6);
            points[to] = point;
            bytes[to++] = 0x80 | (code & 0x3f);
          }
        }
      }
      at += length;
      unit += length === 4 ? 2 : 1;
    }
    while (cut < cuts.length) out.cuts[cut++] = to;
    return out;
  };
}
