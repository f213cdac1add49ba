/** Learning-rate schedules; `step` counts from 0. */

export type ScheduleConfig =
  /** base ÷ √max(step, warmup): flat at first, then inverse square root (reference 5.2: base 1, warmup 10,000). */
  { readonly kind: 'rsqrt'; readonly base: number; readonly warmup: number } | { readonly kind: 'constant'; readonly base: number };

/** The floor is T5X's. */
export const learningRate = (c: ScheduleConfig, step: number): number =>
  c.kind === 'constant' ? c.base : c.base * Math.max(1e-8, 1 / Math.sqrt(Math.max(step, c.warmup)));
