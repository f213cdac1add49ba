/** A program: the simplified graph as a flat list. Plain data: printable, hashable, sendable, a golden file. */
import type { Attrs, DType, Role, Shape } from '../ops/index.ts';

export interface Value {
  readonly id: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** An argument. `state` and `parameter` buffers stay with the executor; `data` changes from run to run. */
export interface Argument extends Value {
  readonly name: string;
  readonly role: Role;
}

export interface Instruction {
  readonly op: string;
  readonly in: readonly string[];
  /** In the order of the op's signature; undefined where nobody reads that output: kernels skip what it alone needs. */
  readonly out: readonly (Value | undefined)[];
  readonly attrs: Attrs;
}

/**
 * One loop over a chain of elementwise ops. Registers: the operands in order, then the immediates, then one per step.
 * An operand has the rank and shape of the result, or size 1 on axes that repeat.
 */
export interface FusedInstruction extends Instruction {
  readonly op: 'fused';
  readonly immediates: readonly { readonly value: number; readonly dtype: DType }[];
  readonly steps: readonly FusedStep[];
}
export interface FusedStep {
  /** Op and dtype of its first operand (of the second for select): `add.f32`. */
  readonly op: string;
  readonly in: readonly number[];
}

export interface Result {
  readonly name: string;
  readonly value: string;
  /** The argument whose buffer this result overwrites in place: parameters and optimizer state. */
  readonly updates?: string;
}

export interface Program {
  readonly name: string;
  readonly arguments: readonly Argument[];
  /** In order of execution; each value is written once. An instruction that overwrites an argument comes after its last reader. */
  readonly code: readonly (Instruction | FusedInstruction)[];
  readonly results: readonly Result[];
}
