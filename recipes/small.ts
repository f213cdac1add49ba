/** Sizes that two cores train in minutes to hours, each with a dense twin of equal active FLOPs. */
import { recipe, type RecipeInput } from '../src/train/index.ts';

/** A feed-forward of width 2F where the MoE layer has two experts of width F. */
const twinOf = (input: RecipeInput): RecipeInput => ({
  ...input,
  name: `${input.name}-dense`,
  model: { ...input.model, family: 'dense-twin' },
});

const quickstartInput = {
  name: 'quickstart',
  model: { vocab: 4096, hidden: 192, inner: 384, layers: 4, heads: 6, headSize: 32, moeInterval: 2, experts: 16, groupSize: 1024 },
  tokenizer: { vocab: 4096 },
  data: { length: 256 },
  schedule: { kind: 'rsqrt', warmup: 400 },
  train: { batch: 8, steps: 0, seconds: 120 },
  probe: { sequencesPerDomain: 32 },
} as const satisfies RecipeInput;

/** About two minutes. */
export const quickstart = recipe(quickstartInput);
export const quickstartDense = recipe(twinOf(quickstartInput));

const tinyInput = {
  name: 'tiny',
  model: { vocab: 512, hidden: 64, inner: 128, layers: 4, heads: 4, headSize: 16, moeInterval: 2, experts: 8, groupSize: 256 },
  tokenizer: { vocab: 512 },
  data: { length: 64 },
  schedule: { kind: 'rsqrt', warmup: 400 },
  train: { batch: 8, steps: 60 },
  validation: { rows: 16 },
  probe: { sequencesPerDomain: 8 },
} as const satisfies RecipeInput;

/** Seconds: for tests and the tour. */
export const tiny = recipe(tinyInput);
export const tinyDense = recipe(twinOf(tinyInput));

const smallInput = {
  name: 'small',
  model: { vocab: 8192, hidden: 256, inner: 512, layers: 6, heads: 8, headSize: 32, moeInterval: 2, experts: 16, groupSize: 2048 },
  tokenizer: { vocab: 8192 },
  data: { length: 256 },
  schedule: { kind: 'rsqrt', warmup: 1000 },
  train: { batch: 8, steps: 4000 },
} as const satisfies RecipeInput;

/** Half an hour: the peers' `quick` configuration. */
export const small = recipe(smallInput);
export const smallDense = recipe(twinOf(smallInput));

const mediumInput = {
  name: 'medium',
  model: { vocab: 16_384, hidden: 512, inner: 1024, layers: 8, heads: 8, headSize: 64, moeInterval: 4, experts: 16, groupSize: 4096 },
  tokenizer: { vocab: 16_384 },
  data: { length: 512 },
  schedule: { kind: 'rsqrt', warmup: 2000 },
  train: { batch: 8, steps: 8000 },
} as const satisfies RecipeInput;

/** Hours. */
export const medium = recipe(mediumInput);
export const mediumDense = recipe(twinOf(mediumInput));
