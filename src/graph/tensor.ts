/** Values of the language of computation: dtypes, shapes, tensors and the nodes that make them. */
import type { AnyOp } from './op.ts';

export const DTYPES = ['f32', 'i32'] as const;
export type DType = (typeof DTYPES)[number];
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

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
