/** What an optimizer is: state slots per parameter, and one update as part of the traced step. */
import type { Axis, Shape, Tensor } from '../../models/index.ts';

export interface ParamInfo {
  readonly path: string;
  readonly shape: Shape;
  readonly axes: readonly Axis[];
}

export interface Optimizer {
  /** Names and shapes of the state that a parameter needs; all start at zero. */
  slots(p: ParamInfo): Readonly<Record<string, Shape>>;
  /** Numbers that change from step to step, as arguments f[] of the program; `step` counts from 0. */
  scalars(step: number): Readonly<Record<string, number>>;
  update(p: ParamInfo, x: UpdateInput): { readonly w: Tensor; readonly slots: Readonly<Record<string, Tensor>> };
}

export interface UpdateInput {
  readonly w: Tensor;
  readonly g: Tensor;
  readonly slots: Readonly<Record<string, Tensor>>;
  readonly lr: Tensor;
  readonly scalars: Readonly<Record<string, Tensor>>;
}
