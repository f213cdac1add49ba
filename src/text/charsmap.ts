/** SentencePiece's precompiled normalization: a Darts double array from byte strings to what replaces them. */
import { damaged } from './sentencepiece-model.ts';

export interface Charsmap {
  /** The longest rule (or the shortest) that begins at `at`: length of what it replaces, 0 when none does. The replacement is `bytes[from, to)`. */
  match(text: Uint8Array, at: number, end: number, which?: 'longest' | 'shortest'): number;
  readonly bytes: Uint8Array;
  /** Of the last match. */
  from: number;
  to: number;
}

/** Reads a map; throws UserError E_TOKENIZER when its parts do not fit the file. */
export function readCharsmap(blob: Uint8Array): Charsmap {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  const size = blob.length > 4 ? view.getUint32(0, true) : 0;
  if (blob.length <= 4 || size >= blob.length - 3 || size % 4 !== 0) throw damaged('the normalization map does not fit its length');
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  return charsmap(units, blob.slice(4 + size));
}

/** Fields of a Darts unit. */
const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const labelOf = (unit: number): number => unit & (0x80000000 | 0xff);
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
const valueOf = (unit: number): number => unit & 0x7fffffff;

function charsmap(units: Uint32Array, bytes: Uint8Array): Charsmap {
  const root = units.length > 0 ? offsetOf(units[0]!) : 0;
  return {
    bytes,
    from: 0,
    to: 0,
    match(text, at, end, which = 'longest') {
      let node = root;
      let longest = 0;
      let value = 0;
      for (let i = at; i < end; i++) {
        node ^= text[i]!;
        if (node >>> 0 >= units.length) break;
        const unit = units[node]!;
        if (labelOf(unit) !== text[i]) break;
        node ^= offsetOf(unit);
        if (!hasLeaf(unit) || node >>> 0 >= units.length) continue;
        longest = i + 1 - at;
        value = valueOf(units[node]!);
        if (which === 'shortest') break;
      }
      if (longest === 0) return 0;
      this.from = Math.min(value, bytes.length);
      const zero = bytes.indexOf(0, this.from);
      this.to = zero < 0 ? bytes.length : zero;
      return longest;
    },
  };
}
