/** openmoe as a library: train, run and look inside Mixture-of-Experts language models. */
export { EXIT, rng, UserError } from './base/index.ts';
export { RECIPES } from '../recipes/index.ts';
export { baselines, describeData, folder, starterCorpus, type Dataset, type Source } from './data/index.ts';
export {
  generate,
  GREEDY,
  loadWeights,
  openExecutor,
  openEvaluator,
  openLanguageModel,
  openScorer,
  packModel,
  type Executor,
  type GenerateOptions,
  type LanguageModel,
  type Sampling,
  type Weights,
} from './infer/index.ts';
export { openRef, print, trace, gradient, type Program } from './exec/index.ts';
export * as ops from './ops/index.ts';
export { analyse, openProber, type Findings, type RoutingRecord } from './routing/index.ts';
export { createRun, findRun, listRuns, openRun, readRun, type Run, type RunFolder } from './runs/index.ts';
export { loadTokenizer, trainBpe, type Tokenizer } from './text/index.ts';
export {
  checkRecipe,
  fixSteps,
  modelOf,
  override,
  prepare,
  readTrained,
  recipe,
  train,
  type Recipe,
  type RecipeInput,
  type TrainEvent,
} from './train/index.ts';
