/** Validation while training: mean cross-entropy over the validation rows, whole and by domain. */
import type { Batch, Dataset } from '../data/index.ts';
import { type Evaluator, openEvaluator } from '../infer/index.ts';
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
  const evaluator = await openEvaluator(model, executor, { rows: batch, length: recipe.data.length, mode: 'eval', padded: true, routing: false });
  const batches = dataset.validationBatches({ rows: recipe.validation.rows, batch });
  return {
    memory: evaluator.memory,
    close: () => evaluator.close(),
    async run(weights, step) {
      const sums = await summed(evaluator, weights, batches, dataset.domains.length);
      const byDomain = Object.fromEntries(sums.flatMap(({ loss, weight }, d) => (weight > 0 ? [[dataset.domains[d]!.name, loss / weight]] : [])));
      const total = sums.reduce((a, b) => ({ loss: a.loss + b.loss, weight: a.weight + b.weight }), { loss: 0, weight: 0 });
      return { kind: 'validation', step, loss: total.loss / total.weight, byDomain };
    },
  };
}

async function summed(evaluator: Evaluator, weights: Buffers, batches: readonly Batch[], domains: number) {
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
