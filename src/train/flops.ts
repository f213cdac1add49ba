/** Model FLOPs, by the usual count: no padding, no recomputation. */
import type { Model } from '../models/index.ts';

/** One training step over rows · length tokens: B·S·(6·A + 6·L·S·D), A active weights, D = heads · head size. */
export function trainingFlops({ counts, config }: Model, rows: number, length: number): number {
  return rows * length * (6 * counts.active + 6 * config.layers * length * config.heads * config.headSize);
}
