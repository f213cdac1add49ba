/** Strided views: a tensor's elements where they lie in a file, turned, cut and checked without moving them. */
import type { SafeDType } from '../base/index.ts';
import type { StoredFile } from './storage.ts';

/** Element types whose elements are whole bytes and that have a value in f64. */
export const ELEMENT_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const satisfies Partial<Record<SafeDType, number>>;
export type ElementType = keyof typeof ELEMENT_BYTES;

export interface View {
  readonly file: StoredFile;
  readonly dtype: ElementType;
  /** Byte of the first element. */
  readonly begin: number;
  readonly shape: readonly number[];
  /** In elements, one for each dimension, none negative. */
  readonly strides: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Row-major strides without gaps. */
export function denseStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** Elements follow each other in row-major order without gaps. */
export function isDense({ shape, strides }: Pick<View, 'shape' | 'strides'>): boolean {
  if (sizeOf(shape) === 0) return true;
  const dense = denseStrides(shape);
  return shape.every((d, i) => d === 1 || strides[i] === dense[i]);
}

export const permute = (view: View, order: readonly number[]): View => ({
  ...view,
  shape: order.map((i) => view.shape[i]!),
  strides: order.map((i) => view.strides[i]!),
});

/** The part [from, from + size) of a dimension. */
export const cut = (view: View, dim: number, { from, size }: { readonly from: number; readonly size: number }): View => ({
  ...view,
  begin: view.begin + from * view.strides[dim]! * ELEMENT_BYTES[view.dtype],
  shape: view.shape.with(dim, size),
});

/** The view with one dimension less: the part at `index` of the first. */
export function row(view: View, index: number): View {
  const { begin, shape, strides } = cut(view, 0, { from: index, size: 1 });
  return { ...view, begin, shape: shape.slice(1), strides: strides.slice(1) };
}

/** Elements from the first to the last, both included; 0 for a view without elements. May be Infinity. */
export const spanOf = ({ shape, strides }: Pick<View, 'shape' | 'strides'>): number =>
  shape.includes(0) ? 0 : shape.reduce((n, d, i) => n + (d - 1) * strides[i]!, 1);
