/** infer: trained weights at work: evaluation, KV cache, sampling, generation. Must not know HTTP or training. */
export { openEvaluator, type Evaluated, type Evaluator, type EvaluatorConfig } from './evaluate.ts';
export { generate, promptIds, stopGate, type Ending, type Generated, type GenerateOptions, type Prompted } from './generate.ts';
export {
  openLanguageModel,
  type Batch,
  type LanguageModel,
  type LanguageModelOptions,
  type Read,
  type ReadTogether,
  type Routed,
  type Sequence,
} from './language-model.ts';
export { loadWeights, WEIGHT_BITS, type WeightSource, type WeightType } from './load.ts';
export { packModel, type PackedModel, type Weights } from './packed.ts';
export { openScorer, type Scorer, type ScorerConfig } from './score.ts';
export { inBatches, interleaved, pickRows, type Rows } from './rows.ts';
export { distribution, draw, GREEDY, penalised, type Sampling } from './sample.ts';
export { continueTogether, type Continuing, type Continued } from './together.ts';
export * from './vocabulary.ts';
