/** AdamW with bias correction; decay only on matrices. */
import { adamw as update } from '../../models/index.ts';
import type { Optimizer } from './optimizer.ts';

export interface AdamwConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

export const adamw = (c: AdamwConfig): Optimizer => ({
  slots: ({ shape }) => ({ m: shape, v: shape }),
  scalars: (step) => ({ count: step + 1 }),
  update({ shape }, { w, g, slots, lr, scalars }) {
    const attrs = { ...c, weightDecay: shape.length > 1 ? c.weightDecay : 0 };
    const made = update({ w, g, m: slots['m']!, v: slots['v']!, lr, step: scalars['count']! }, attrs);
    return { w: made.w, slots: { m: made.m, v: made.v } };
  },
});
