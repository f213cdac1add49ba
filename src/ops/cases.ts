/** Short words for the operands of conformance cases. */
import type { Fill } from '../graph/index.ts';

/** Normal f32 values of that shape. */
export const f = (...shape: number[]): Fill => ({ shape, dtype: 'f32' });
/** Normal bf16 values of that shape. */
export const half = (...shape: number[]): Fill => ({ shape, dtype: 'bf16' });
/** Normal values moved by `shift`: keeps denominators and logarithms away from zero. */
export const shifted = (shift: number, ...shape: number[]): Fill => ({ shape, dtype: 'f32', shift });
/** Integers in [0, below). */
export const i = (below: number, ...shape: number[]): Fill => ({ shape, dtype: 'i32', below });
/** These values. */
export const exact = (dtype: Fill['dtype'], shape: readonly number[], values: readonly number[]): Fill => ({ shape, dtype, values });
