/** What fewer bits a weight cost: validation loss with packed weights minus that with f32, paired row by row. */
import {
  type Buffers,
  type MachineExecutor,
  inBatches,
  type Model,
  openScorer,
  packModel,
  type Rows,
  type Weights,
} from '../infer/index.ts';
import type { Precision } from './measure.ts';

export interface Quality {
  readonly dtype: Precision;
  /** Nats a token. */
  readonly loss: number;
  /** To f32, with its 95 % interval over rows. */
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  readonly rows: number;
}

export interface Trained {
  readonly model: Model;
  readonly weights: Buffers;
  readonly rows: Rows;
  /** Tokens of a row. */
  readonly length: number;
}

const BATCH = 4;
const TYPES = [
  ['bf16', 16],
  ['int8', 8],
  ['int4', 4],
] as const;

/** f32 first. */
export async function* benchQuality(executor: MachineExecutor, trained: Trained): AsyncGenerator<Quality> {
  const exact = await rowLosses(executor, trained, trained.weights);
  const loss = meanOf(exact);
  yield { dtype: 'f32', loss, difference: 0, low: 0, high: 0, rows: exact.length };
  for (const [dtype, bits] of TYPES) {
    const packed = await packModel(trained.model, executor, (path) => trained.weights[path]!, bits);
    const found = await rowLosses(executor, trained, packed);
    yield { dtype, loss: meanOf(found), rows: found.length, ...pairedDifference(found, exact) };
  }
}

interface RowLoss {
  readonly sum: number;
  readonly weight: number;
}

async function rowLosses(executor: MachineExecutor, { model, rows, length }: Trained, weights: Weights): Promise<readonly RowLoss[]> {
  const losses = await openScorer(model, executor, weights, { rows: BATCH, length });
  const all: RowLoss[] = [];
  for (const batch of inBatches(rows, { rows: BATCH, length })) {
    const perToken = await losses.run(batch);
    for (let r = 0; r < BATCH; r++) {
      const of = (n: number): number => batch.weights[r * length + n]!;
      const indices = Array.from({ length }, (_, n) => n);
      const weight = indices.reduce((sum, n) => sum + of(n), 0);
      // Rows that fill up the last batch weigh nothing.
      if (weight > 0) all.push({ weight, sum: indices.reduce((sum, n) => sum + of(n) * perToken[r * length + n]!, 0) });
    }
  }
  losses.close();
  return all;
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const meanOf = (rows: readonly RowLoss[]): number => total(rows.map((r) => r.sum)) / total(rows.map((r) => r.weight));

/** Two-sided 95 % of a normal: rows are many. */
const NORMAL_95 = 1.96;

/** Mean difference a token of `a` − `b`; its spread is that of the rows' differences (a ratio of means, linearised). */
export function pairedDifference(a: readonly RowLoss[], b: readonly RowLoss[]): Pick<Quality, 'difference' | 'low' | 'high'> {
  const difference = meanOf(a) - meanOf(b);
  const mean = total(a.map((r) => r.weight)) / a.length;
  const off = a.map((r, n) => (r.sum - b[n]!.sum - difference * r.weight) / mean);
  const half = a.length > 1 ? NORMAL_95 * Math.sqrt(total(off.map((x) => x * x)) / (a.length - 1) / a.length) : Infinity;
  return { difference, low: difference - half, high: difference + half };
}
