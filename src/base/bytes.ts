/** Bytes and the half-precision numbers inside them. */

/** One byte string out of many. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** IEEE 754 binary16 → binary32: exact. */
export function f32FromF16(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = fromHalf(halves[i]!);
  return values;
}

/** bfloat16, the upper half of a binary32 → binary32: exact. */
export function f32FromBf16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** The nearest bfloat16, ties to even; NaN stays NaN. */
export function bf16FromF32(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const x = bits[i]!;
    halves[i] = (x & 0x7fffffff) > 0x7f800000 ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/** The bfloat16 nearest to x, as a number. */
export const roundBf16 = (x: number): number => f32FromBf16(bf16FromF32(Float32Array.of(x)))[0]!;

function fromHalf(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(h >>> 10) & 31, h & 0x3ff];
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
}
