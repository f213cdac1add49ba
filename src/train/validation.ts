/** Validation while training: mean cross-entropy over the validation rows, whole and by domain. */
import type { Dataset } from '../data/index.ts';
import { type Evaluator, inBatches, interleaved, openEvaluator, pickRows, type Rows } from '../infer/index.ts';
import type { TrainEvent } from './events.ts';
import type { Recipe } from './recipe.ts';
import type { Buffers, Executor, Model } from './vocabulary.ts';

export interface Validation {
  run(weights: Buffers, step: number): Promise<TrainEvent & { kind: 'validation' }>;
  readonly memory: number;
  close(): void;
}

export async function openValidation(model: Model, executor: Executor, dataset: Dataset, recipe: Recipe): Promise<Validation> {
  const { batch } = recipe.train;
  const evaluator = await openEvaluator(model, executor, {
    rows: batch,
    length: recipe.data.length,
    mode: 'eval',
    padded: true,
    losses: true,
    routing: false,
  });
  const batches = inBatches(validationRows(dataset, recipe.validation.rows), { rows: batch, length: recipe.data.length });
  return {
    memory: evaluator.memory,
    close: () => evaluator.close(),
    async run(weights, step) {
      const sums = await summed(evaluator, weights, batches, dataset.domains.length);
      const byDomain = Object.fromEntries(
        sums.flatMap(({ loss, weight }, d) => (weight > 0 ? [[dataset.domains[d]!.name, loss / weight]] : [])),
      );
      const total = sums.reduce((a, b) => ({ loss: a.loss + b.loss, weight: a.weight + b.weight }), { loss: 0, weight: 0 });
      return { kind: 'validation', step, loss: total.loss / total.weight, byDomain };
    },
  };
}

/** About `most` rows in all, as many of each trained domain, in turns. */
export function validationRows(dataset: Dataset, most: number): Rows {
  const trained = dataset.domains.flatMap((d, i) => (d.heldOut ? [] : [i]));
  const parts = trained.map((d) => dataset.validationRows(d, Math.max(1, Math.ceil(most / trained.length))));
  const all: Rows = {
    tokens: Int32Array.from(parts.flatMap((p) => [...p.tokens])),
    targets: Int32Array.from(parts.flatMap((p) => [...p.targets])),
    segments: Int32Array.from(parts.flatMap((p) => [...p.segments])),
    weights: Float32Array.from(parts.flatMap((p) => [...p.weights])),
    domains: Int32Array.from(parts.flatMap((p) => [...p.domains])),
  };
  return pickRows(all, interleaved(all, dataset.length), dataset.length);
}

async function summed(evaluator: Evaluator, weights: Buffers, batches: readonly Rows[], domains: number) {
  const sums = Array.from({ length: domains }, () => ({ loss: 0, weight: 0 }));
  for (const batch of batches) {
    const { perToken } = await evaluator.run(weights, batch);
    for (let i = 0; i < perToken.length; i++) {
      const sum = sums[batch.domains[i]!]!;
      sum.loss += batch.weights[i]! * perToken[i]!;
      sum.weight += batch.weights[i]!;
    }
  }
  return sums;
}
