/** f32 → signed bytes with a bf16 scale for each group of 32 along an axis: as inference holds its weights of 8 bits (docs/formats.md). */
import { GROUP } from './stored.ts';
import { sizeOf } from './view.ts';

export interface Quantized {
  readonly bytes: Int8Array;
  /** bf16, shaped as the values with a place for each group along the axis. */
  readonly scales: Uint16Array;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The bf16 that is not smaller than x ≥ 0, and its bits. */
function roundUpBf16(x: number): { readonly half: number; readonly scale: number } {
  float[0] = x;
  const half = (word[0]! + 0xffff) >>> 16;
  word[0] = half << 16;
  return { half, scale: float[0]! };
}

/**
 * A weight is nearest(w ÷ scale), ties to even, within ±127; a scale the largest magnitude of its group ÷ 127, rounded up to bf16.
 * Undefined where a value is not finite: no scale fits that.
 */
export function quantize(values: Float32Array, shape: readonly number[], axis: number): Quantized | undefined {
  const [length, inner] = [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const groups = Math.ceil(length / GROUP);
  const outer = sizeOf(shape.slice(0, axis));
  const q = { bytes: new Int8Array(values.length), scales: new Uint16Array(outer * groups * inner) };
  const inverse = new Float32Array(inner);
  for (let o = 0; o < outer; o++)
    for (let g = 0; g < groups; g++) {
      const rows = { from: o * length + g * GROUP, to: o * length + Math.min(length, (g + 1) * GROUP) };
      const scales = q.scales.subarray((o * groups + g) * inner, (o * groups + g + 1) * inner);
      if (!scaleGroup(values, inverse, { ...rows, scales })) return undefined;
      for (let r = rows.from; r < rows.to; r++)
        for (let i = 0; i < inner; i++) q.bytes[r * inner + i] = nearest(Math.fround(values[r * inner + i]! * inverse[i]!));
    }
  return q;
}

/** Scales of a group of rows, and their inverses; false where a value is not finite. */
function scaleGroup(
  values: Float32Array,
  inverse: Float32Array,
  { from, to, scales }: { readonly from: number; readonly to: number; readonly scales: Uint16Array },
): boolean {
  const inner = inverse.length;
  const largest = inverse.fill(0);
  for (let r = from; r < to; r++)
    for (let i = 0; i < inner; i++) {
      const x = Math.abs(values[r * inner + i]!);
      if (!(x <= largest[i]!)) largest[i] = x;
      if (!(x < Infinity)) return false;
    }
  for (let i = 0; i < inner; i++) {
    const { half, scale } = roundUpBf16(largest[i]! / 127);
    scales[i] = half;
    inverse[i] = scale > 0 ? 1 / scale : 0;
  }
  return true;
}

/** 1.5 · 2^52: adding it to a double leaves no bits behind the point, rounded to even. */
const ROUNDING = 6755399441055744;
const nearest = (x: number): number => Math.max(-127, Math.min(127, x + ROUNDING - ROUNDING));
