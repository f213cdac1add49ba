/** How packed weights lie in memory, and products with them by definition (docs/formats.md).   E matrices, K → N features, P panels of B bytes. */
import { roundBf16 } from '../base/index.ts';
import { type Fill, type Numbers, type Shape, sizeOf } from '../graph/index.ts';

/** Bits of a packed weight: bf16, or whole numbers with a bf16 scale for each 32 weights of a column. */
export const PACKED_BITS = [16, 8, 4] as const;
export type PackedBits = (typeof PACKED_BITS)[number];

/** Matrices [E,K,N] that are packed together. */
export interface Packing {
  readonly bits: number;
  readonly matrices: Shape;
  /** Equal parts of the columns whose panels take turns, so that columns used together lie together. */
  readonly sections: number;
}

const [COLUMNS, DEEP, GROUP] = [16, 64, 32];
const blockBytes = (bits: number): number => (COLUMNS * DEEP * bits) / 8 + (bits < 16 ? COLUMNS * 4 : 0);
const panelBytes = (bits: number, depth: number): number => Math.ceil(depth / DEEP) * blockBytes(bits);
const panelCount = (cols: number, sections: number): number => sections * Math.ceil(cols / sections / COLUMNS);

/** [E,P,B] in bytes. Throws TypeError for bits that there are not, and for columns that do not split. */
export function packedShape(op: string, { bits, matrices: [e, depth, cols], sections }: Packing): Shape {
  if (!PACKED_BITS.some((b) => b === bits)) throw new TypeError(`[${op}] bits: ${bits} is none of ${PACKED_BITS.join(', ')}`);
  if (sections < 1 || cols! % sections !== 0) throw new TypeError(`[${op}] ${cols} columns are not ${sections} equal sections`);
  return [e!, panelCount(cols!, sections), panelBytes(bits, depth!)];
}

/** Throws TypeError unless an operand has the shape of these packed matrices. */
export function checkPacked(op: string, operand: string, got: Shape, packing: Packing): void {
  const want = packedShape(op, packing);
  if (got.join() !== want.join()) throw new TypeError(`[${op}] ${operand}: expected i8[${want}], got i8[${got}]`);
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);
const bitsOf = (x: number): number => ((float[0] = x), word[0]!);
const fromHalf = (bits: number): number => ((word[0] = (bits << 16) >>> 0), float[0]!);

/** Bits of a bf16 that is not smaller in magnitude than x. */
const scaleBits = (x: number): number => (((bitsOf(Math.abs(x)) + 0xffff) >>> 16) & 0x7fff) | ((bitsOf(x) >>> 16) & 0x8000);

function roundEven(x: number): number {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low & 1) : Math.round(x);
}
/** NaN becomes `high`. */
const whole = (x: number, low: number, high: number): number => (x < high ? (x > low ? roundEven(x) : low) : high);

/** Where weight (row, col) of a panel stands: its byte, and by how much it is shifted there. */
function placeOf(bits: number, row: number, col: number): { readonly byte: number; readonly shift: number } {
  const perWord = 32 / bits;
  const j = row % perWord;
  const at = Math.floor(row / DEEP) * blockBytes(bits) + (Math.floor((row % DEEP) / perWord) * COLUMNS + col) * 4;
  return { byte: at + (bits === 16 ? 2 * j : j & 3), shift: bits === 4 ? j & 4 : 0 };
}
const scalePlace = (bits: number, row: number, col: number): number =>
  Math.floor(row / DEEP) * blockBytes(bits) + (COLUMNS * DEEP * bits) / 8 + col * 4 + (row % DEEP < GROUP ? 0 : 2);

function putHalf(to: Numbers, at: number, value: number): void {
  to[at] = (value << 24) >> 24;
  to[at + 1] = (value << 16) >> 24;
}

/** 32 weights of a column, from `row` of the panel at `at`. */
function packGroup(
  weights: readonly number[],
  bits: number,
  { to, at, row, col }: { to: Numbers; at: number; row: number; col: number },
): void {
  if (bits === 16) return weights.forEach((w, i) => putHalf(to, at + placeOf(bits, row + i, col).byte, bitsOf(roundBf16(w)) >>> 16));
  const most = weights.reduce((a, x) => (Math.abs(x) > Math.abs(a) || Number.isNaN(x) ? x : a), 0);
  // With 4 bits the largest becomes −8: the end of the range that has a step more.
  const scale = scaleBits(bits === 8 ? Math.abs(Math.fround(most / 127)) : Math.fround(most / -8));
  putHalf(to, at + scalePlace(bits, row, col), scale);
  const inverse = fromHalf(scale) === 0 ? 0 : Math.fround(1 / fromHalf(scale));
  weights.forEach((w, i) => {
    const { byte, shift } = placeOf(bits, row + i, col);
    const x = Math.fround(w * inverse);
    const code = bits === 8 ? whole(x, -127, 127) + 128 : to[at + byte]! | ((whole(x, -8, 7) + 8) << shift);
    to[at + byte] = (code << 24) >> 24;
  });
}

/** Packs `w` into `to`, which holds zeros; where it is `turned`, w is [E,N,K]. */
export function packMatrices(w: Numbers, to: Numbers, { bits, matrices, sections }: Packing, turned = false): void {
  const [experts, depth, cols] = matrices as [number, number, number];
  const [count, bytes, wide] = [panelCount(cols, sections), panelBytes(bits, depth), cols / sections];
  for (let panel = 0; panel < experts * count; panel++)
    for (let col = 0; col < COLUMNS; col++) {
      const [e, p] = [Math.floor(panel / count), panel % count];
      const n = Math.floor(p / sections) * COLUMNS + col;
      const c = (p % sections) * wide + n;
      const weight = (k: number): number =>
        n < wide && k < depth ? w[turned ? (e * cols + c) * depth + k : (e * depth + k) * cols + c]! : 0;
      for (let row = 0; row < Math.ceil(depth / DEEP) * DEEP; row += GROUP)
        packGroup(
          Array.from({ length: GROUP }, (_, i) => weight(row + i)),
          bits,
          { to, at: panel * bytes, row, col },
        );
    }
}

function weightAt(packed: Numbers, at: number, bits: number, [row, col]: readonly [number, number]): number {
  const halfAt = (place: number): number => fromHalf((packed[at + place]! & 255) | ((packed[at + place + 1]! & 255) << 8));
  const { byte, shift } = placeOf(bits, row, col);
  if (bits === 16) return halfAt(byte);
  const code = packed[at + byte]! & 255;
  return (bits === 8 ? code - 128 : ((code >> shift) & 15) - 8) * halfAt(scalePlace(bits, row, col));
}

/** A row as products read it: rounded to bf16, or to signed bytes with a scale for each 32 features. */
export function preparedRow(x: ArrayLike<number>, bits: number): number[] {
  const values = Array.from(x);
  if (bits === 16) return values.map(roundBf16);
  return values.map((v, k) => {
    const first = k - (k % GROUP);
    const most = values.slice(first, first + GROUP).reduce((a, y) => (Number.isNaN(y) ? y : Math.max(a, Math.abs(y))), 0);
    return most === 0 ? 0 : whole(Math.fround(v * Math.fround(127 / most)), -127, 127) * Math.fround(most / 127);
  });
}

/** x · matrix e, all columns, for a prepared row x. */
export function packedProduct(x: readonly number[], packed: Numbers, { bits, matrices, sections }: Packing, e: number): number[] {
  const [, depth, cols] = matrices as [number, number, number];
  const wide = cols / sections;
  return Array.from({ length: cols }, (_, n) => {
    const [section, col] = [Math.floor(n / wide), n % wide];
    const panel = e * panelCount(cols, sections) + Math.floor(col / COLUMNS) * sections + section;
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += x[k]! * weightAt(packed, panel * panelBytes(bits, depth), bits, [k, col % COLUMNS]);
    return sum;
  });
}

/** A packed operand of a conformance case; its bytes are made when they are asked for, not whenever this file is imported. */
export function packedFill(packing: Packing): Fill {
  let made: readonly number[] | undefined;
  const bytes = (shape: Shape): readonly number[] => {
    const packed = new Int8Array(sizeOf(shape));
    const values = Float32Array.from({ length: sizeOf(packing.matrices) }, (_, i) => Math.sin(12.9898 * i) * Math.cos(78.233 * i));
    packMatrices(values, packed, packing);
    return [...packed];
  };
  return {
    dtype: 'i8',
    shape: packedShape('case', packing),
    get values() {
      return (made ??= bytes(this.shape));
    },
  };
}
