/** Row-major strides and walks over the indices of a shape, for reference rules. */
import type { Shape } from '../graph/index.ts';

export function strides(shape: Shape): number[] {
  const steps = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) steps[i] = steps[i + 1]! * shape[i + 1]!;
  return steps;
}

/** Calls visit(flat, at) for each index of `shape` in row-major order; `at` is reused. */
export function walk(shape: Shape, visit: (flat: number, at: readonly number[]) => void): void {
  const at = shape.map(() => 0);
  const size = shape.reduce((n, d) => n * d, 1);
  for (let flat = 0; flat < size; flat++) {
    visit(flat, at);
    for (let axis = shape.length - 1; axis >= 0 && ++at[axis]! === shape[axis]!; axis--) at[axis] = 0;
  }
}

export const dot = (at: readonly number[], steps: readonly number[]): number => at.reduce((sum, x, axis) => sum + x * steps[axis]!, 0);
