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

/** `to[at + r · rowStep + i · step] = from[start + r · rowStride + i · stride]` for r < rows and i < count, in f32. */
export interface Block {
  readonly start: number;
  readonly at: number;
  readonly rows: number;
  readonly rowStride: number;
  readonly rowStep: number;
  readonly count: number;
  readonly stride: number;
  readonly step: number;
}

/** `to[at + i · step] = from[start + i · stride]` for i < count. */
type Copy = Pick<Block, 'start' | 'stride' | 'count' | 'at' | 'step'>;

/** Rows that are turned together: their targets fill a cache line. */
const TILE = 16;

/** Copies `from`, elements of `dtype` as `elementsOf` gives them, into `to`. */
export function widen(from: ArrayLike<number | bigint>, dtype: ElementType, to: Float32Array, b: Block): void {
  if (b.step === 1 || b.rows === 1)
    for (let r = 0; r < b.rows; r++) widenLine(from, dtype, to, { ...b, start: b.start + r * b.rowStride, at: b.at + r * b.rowStep });
  else
    for (let r = 0; r < b.rows; r += TILE)
      for (let i = 0; i < b.count; i++)
        widenLine(from, dtype, to, {
          start: b.start + r * b.rowStride + i * b.stride,
          stride: b.rowStride,
          count: Math.min(TILE, b.rows - r),
          at: b.at + r * b.rowStep + i * b.step,
          step: b.rowStep,
        });
}

function widenLine(from: ArrayLike<number | bigint>, dtype: ElementType, to: Float32Array, c: Copy): void {
  if (dtype === 'F32') return widenF32(from as Float32Array, to, c);
  if (dtype === 'F16') return widenHalves(from as Uint16Array, to, c);
  if (dtype === 'BF16') return widenBf16(from as Uint16Array, to, c);
  for (let i = 0; i < c.count; i++) to[c.at + i * c.step] = Number(from[c.start + i * c.stride]);
}

function widenF32(from: Float32Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  if (stride === 1 && step === 1 && count > 64) return to.set(from.subarray(start, start + count), at);
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) to[t] = from[f]!;
}

function widenHalves(from: Uint16Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  const table = halfTable();
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) to[t] = table[from[f]!]!;
}

/** The same memory as whole numbers; remembered, for lines are short. */
let viewed = new Float32Array(0) as Float32Array;
let viewedBits = new Uint32Array(0) as Uint32Array;
function bitsOf(values: Float32Array): Uint32Array {
  if (values !== viewed) {
    viewed = values;
    viewedBits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  }
  return viewedBits;
}

function widenBf16(from: Uint16Array, to: Float32Array, { start, stride, count, at, step }: Copy): void {
  const bits = bitsOf(to);
  for (let i = 0, f = start, t = at; i < count; i++, f += stride, t += step) bits[t] = from[f]! << 16;
}

/** Element types that checkpoints are written in, by our name. */
export const WRITTEN = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
export type WrittenType = keyof typeof WRITTEN;

/**
 * The nearest elements of a type, ties to even, as bytes in `into`'s memory, which is as long as `values` in 4-byte elements.
 * Returns them, and how many finite values became infinite.
 */
export function narrow(
  values: Float32Array,
  type: WrittenType,
  into: Uint16Array,
): { readonly bytes: Uint8Array; readonly overflowed: number } {
  if (type === 'f32') return { bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength), overflowed: 0 };
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const overflowed = type === 'bf16' ? toBf16(bits, into) : toF16(bits, into);
  return { bytes: new Uint8Array(into.buffer, into.byteOffset, 2 * values.length), overflowed };
}

function toBf16(bits: Uint32Array, into: Uint16Array): number {
  let overflowed = 0;
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const magnitude = x & 0x7fffffff;
    if (magnitude > 0x7f800000) into[i] = (x >>> 16) | 0x40;
    else {
      into[i] = (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
      if (magnitude >= 0x7f7f8000 && magnitude < 0x7f800000) overflowed++;
    }
  }
  return overflowed;
}

/** Rounds at the eleventh significant bit; below 2^-14 at multiples of 2^-24. */
function toF16(bits: Uint32Array, into: Uint16Array): number {
  let overflowed = 0;
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const [sign, magnitude] = [(x >>> 16) & 0x8000, x & 0x7fffffff];
    if (magnitude > 0x7f800000) into[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) {
      into[i] = sign | 0x7c00; // 65,520 and above
      if (magnitude < 0x7f800000) overflowed++;
    } else if (magnitude >= 0x38800000) into[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    else if (magnitude < 0x33000000) into[i] = sign;
    else {
      const shift = 126 - (magnitude >>> 23); // 14 … 24
      const mantissa = (magnitude & 0x7fffff) | 0x800000;
      const half = 1 << (shift - 1);
      into[i] = sign | ((mantissa + half - 1 + ((mantissa >>> shift) & 1)) >>> shift);
    }
  }
  return overflowed;
}

/** Every bit of every value is 0. */
export function isZero(values: Float32Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let i = 0;
  for (; i + 8 <= bits.length; i += 8)
    if ((bits[i]! | bits[i + 1]! | bits[i + 2]! | bits[i + 3]! | bits[i + 4]! | bits[i + 5]! | bits[i + 6]! | bits[i + 7]!) !== 0)
      return false;
  for (; i < bits.length; i++) if (bits[i] !== 0) return false;
  return true;
}
