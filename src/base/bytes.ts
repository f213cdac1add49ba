/** Bytes and the half-precision numbers inside them: bf16 and f16 ↔ f32, hexadecimal, concatenation. */

/** One byte string out of many. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** Lower-case hexadecimal, two digits a byte. */
export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** bf16 is the upper half of an f32: exact. */
export function f32FromBf16(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Rounds to nearest, ties to even; a NaN stays a (quiet) NaN, too large becomes infinite. */
export function bf16FromF32(values: Float32Array): Uint16Array {
  const words = wordsOf(values);
  return Uint16Array.from(words, (w) => ((w & 0x7fffffff) > 0x7f800000 ? (w >>> 16) | 0x40 : (w + 0x7fff + ((w >>> 16) & 1)) >>> 16));
}

/** IEEE 754 binary16 → binary32: exact. */
export function f32FromF16(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = fromHalf(halves[i]!);
  return values;
}

/** Rounds to nearest, ties to even; subnormals are kept, 65520 and above become infinite, a NaN stays a NaN. */
export function f16FromF32(values: Float32Array): Uint16Array {
  return Uint16Array.from(wordsOf(values), toHalf);
}

function fromHalf(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(h >>> 10) & 31, h & 0x3ff];
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

function toHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520, half-way between the largest half and 2^16
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  singleBits[0] = magnitude; // below 2^-14: the last place of 0.5 in f32 is 2^-24, the step of subnormal halves,
  single[0] = single[0]! + 0.5; // so that this addition rounds as asked
  return sign | (singleBits[0]! - 0x3f000000);
}
