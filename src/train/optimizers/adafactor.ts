/** Adafactor as T5X runs it: no momentum, updates scaled by the parameter's size, statistics per expert (reference 5.1). */
import { adafactor as plainUpdate, adafactorFactored } from '../../models/index.ts';
import type { Optimizer, ParamInfo, UpdateInput } from './optimizer.ts';

export interface AdafactorConfig {
  /** β2 at step t (from 0) is 1 − (t + 1)^−decayRate. */
  readonly decayRate: number;
  readonly eps1: number;
  readonly eps2: number;
  readonly clip: number;
  /** Matrices with a side below this are not factored; experts always are. */
  readonly minDimToFactor: number;
}

/** How a parameter's statistics factor: B matrices of R × C, and which T5X slot the row statistics are. */
interface Factoring {
  readonly batch: number;
  readonly rows: number;
  readonly cols: number;
  /** The mean over columns, indexed by row, is T5X's v_row; otherwise it is its v_col. */
  readonly rowIsRow: boolean;
}

export function factoring({ shape, axes }: ParamInfo, minDim: number): Factoring | undefined {
  if (axes[0] === 'expert') {
    const [batch, rows, cols] = shape as [number, number, number];
    // Rows and columns follow the axis names: v_row belongs to embed, v_col to mlp, for wi and wo alike.
    return { batch, rows, cols, rowIsRow: axes[1] === 'embed' };
  }
  const [rows, cols] = shape;
  if (shape.length !== 2 || Math.min(rows!, cols!) < minDim) return undefined;
  // v_row is the mean over the larger dimension; of equal ones the last counts as larger (stable argsort).
  return { batch: 1, rows: rows!, cols: cols!, rowIsRow: cols! >= rows! };
}

export function adafactor(c: AdafactorConfig): Optimizer {
  return {
    slots(p) {
      const f = factoring(p, c.minDimToFactor);
      if (!f) return { v: p.shape };
      const lead = p.axes[0] === 'expert' ? [f.batch] : [];
      const [byRow, byCol] = [
        [...lead, f.rows],
        [...lead, f.cols],
      ];
      return f.rowIsRow ? { v_row: byRow, v_col: byCol } : { v_row: byCol, v_col: byRow };
    },
    scalars: (step) => ({ decay: 1 - (step + 1) ** -c.decayRate }),
    update: (p, x) => update(p, x, c),
  };
}

function update(p: ParamInfo, { w, g, slots, lr, scalars }: UpdateInput, c: AdafactorConfig): ReturnType<Optimizer['update']> {
  const f = factoring(p, c.minDimToFactor);
  const decay = scalars['decay']!;
  const limits = { eps1: c.eps1, eps2: c.eps2, clip: c.clip };
  if (!f) {
    const made = plainUpdate({ w, g, v: slots['v']!, lr, decay }, { batch: 1, ...limits });
    return { w: made.w, slots: { v: made.v } };
  }
  const [rowName, colName] = f.rowIsRow ? ['v_row', 'v_col'] : ['v_col', 'v_row'];
  const { batch, rows, cols } = f;
  const made = adafactorFactored({ w, g, vRow: slots[rowName!]!, vCol: slots[colName!]!, lr, decay }, { batch, rows, cols, ...limits });
  return { w: made.w, slots: { [rowName!]: made.vRow, [colName!]: made.vCol } };
}
