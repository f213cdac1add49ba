/** Values of the language of computation: dtypes, shapes, tensors and the nodes that make them. */
import type { AnyOp } from './op.ts';

/** In the order of their numbers in encoded programs. bf16 is the upper half of an f32; i8 holds quantized weights. */
export const DTYPES = ['f32', 'i32', 'bf16', 'i8'] as const;
export type DType = (typeof DTYPES)[number];
const BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, bf16: 2, i8: 1 };
export type Shape = readonly number[];
/** Attributes are numbers or lists of numbers; truth is 0 or 1. Their order is the order of declaration in the op. */
export type Attrs = Readonly<Record<string, number | readonly number[]>>;

/** What an executor must know of a program's argument. `parameter` and `state` stay with the executor from load to save. */
export type Role = 'parameter' | 'state' | 'data';

/** One value of a graph: output `index` of `node`, or an argument of the program where there is no node. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly node?: Node;
  readonly index: number;
  /** Arguments only. */
  readonly name?: string;
  readonly role?: Role;
}

/** One application of an op. Inputs and outputs stand in the order of the op's signature. */
export interface Node {
  /** Order of creation. */
  readonly serial: number;
  /** Path of the `scope` that it was made in, '' outside of all: passes that rewrite a graph do not keep it. */
  readonly scope: string;
  readonly op: AnyOp;
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly outputs: readonly Tensor[];
}

/** An argument of the program being traced. */
export const argument = (name: string, shape: Shape, { dtype = 'f32' as DType, role = 'data' as Role } = {}): Tensor => ({
  dtype,
  shape,
  index: 0,
  name,
  role,
});

/** Of a gradient and of what may have one. */
export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'bf16';

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

/** Bytes of a dense array. */
export const bytesOf = ({ dtype, shape }: { readonly dtype: DType; readonly shape: Shape }): number => BYTES[dtype] * sizeOf(shape);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
