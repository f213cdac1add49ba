/** Stored bytes of any element type → f32, into a place of the caller's. */
import type { ElementType } from './view.ts';

const SCALE = Float64Array.from({ length: 31 }, (_, e) => 2 ** (e - 25));

/** IEEE 754 binary16 → binary32, all 65,536 of them, made when first asked for. */
let halves: Float32Array | undefined;
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, h) => {
    const sign = h & 0x8000 ? -1 : 1;
    const [exponent, mantissa] = [(h >>> 10) & 31, h & 0x3ff];
    if (exponent === 31) return mantissa ? NaN : sign * Infinity;
    return sign * (exponent ? (1024 + mantissa) * SCALE[exponent]! : mantissa * 2 ** -24);
  });
  return halves;
}

/** The elements in `bytes`, which start at a multiple of the element's size in their buffer. */
export function elementsOf(bytes: Uint8Array, dtype: ElementType): ArrayLike<number | bigint> {
  const { buffer, byteOffset: at, byteLength: n } = bytes;
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer, at, n / 8);
    case 'I64':
      return new BigInt64Array(buffer, at, n / 8);
    case 'U64':
      return new BigUint64Array(buffer, at, n / 8);
    case 'F32':
      return new Float32Array(buffer, at, n / 4);
    case 'I32':
      return new Int32Array(buffer, at, n / 4);
    case 'U32':
      return new Uint32Array(buffer, at, n / 4);
    case 'F16':
    case 'BF16':
    case 'U16':
      return new Uint16Array(buffer, at, n / 2);
    case 'I16':
      return new Int16Array(buffer, at, n / 2);
    case 'I8':
      return new Int8Array(buffer, at, n);
    case 'U8':
    case 'BOOL':
      return bytes;
  }
}

/** `to[at + i · step] = from[start + i · stride]` for i < count, in f32. */
export interface Copy {
  readonly start: number;
  readonly stride: number;
  readonly count: number;
  readonly at: number;
  readonly step: number;
}

/** Copies `from`, elements of `dtype` as `elementsOf` gives them, into `to`. */
export function widen(from: ArrayLike<number | bigint>, dtype: ElementType, to: Float32Array, c: Copy): void {
  if (dtype === 'F16') return widenHalves(from as Uint16Array, to, c);
  if (dtype === 'BF16') return widenBf16(from as Uint16Array, to, c);
  if (dtype === 'F32') return widenF32(from as Float32Array, to, c);
  for (let i = 0; i < c.count; i++) to[c.at + i * c.step] = Number(from[c.start + i * c.stride]);
}

function widenF32(from: Float32Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  if (stride === 1 && step === 1) return to.set(from.subarray(start, start + count), at);
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) to[t] = from[f]!;
}

function widenHalves(from: Uint16Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  const table = halfTable();
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) to[t] = table[from[f]!]!;
}

function widenBf16(from: Uint16Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length);
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) bits[t] = from[f]! << 16;
}
