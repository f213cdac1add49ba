/** The published configurations, to the digit (reference 1.1, 1.3, 5.3). Two cores can print them, count them and dry-run them. */
import { recipe, type RecipeInput } from '../src/train/index.ts';

/** umT5's 256,000 pieces and 300 extra ids, padded to a multiple of 128. */
const VOCAB = 256_384;
const MANY_STEPS = 500_000;

const published = (name: string, model: Omit<RecipeInput['model'], 'vocab'>, train: RecipeInput['train']): RecipeInput => ({
  name,
  model: { vocab: VOCAB, ...model },
  tokenizer: { vocab: 32_000 },
  data: { length: 2048 },
  train,
});

const base = { hidden: 768, inner: 2048, layers: 12, heads: 12, headSize: 64, moeInterval: 4, experts: 16 } as const;
const large = { hidden: 2048, inner: 8192, layers: 24, heads: 24, headSize: 128, moeInterval: 6, experts: 32 } as const;
const xl = { hidden: 3072, inner: 12_288, layers: 32, heads: 24, headSize: 128, moeInterval: 4, experts: 32 } as const;

export const openmoeBase = recipe(published('openmoe-base', base, { batch: 128, steps: MANY_STEPS }));
export const openmoe8b = recipe(published('openmoe-8b', large, { batch: 128, accumulate: 8, steps: MANY_STEPS }));
export const openmoe34b = recipe({
  ...published('openmoe-34b', { ...xl, groupSize: 8192 }, { batch: 64, accumulate: 16, steps: MANY_STEPS }),
  losses: { routerZ: 1e-3 },
});

/** The dense counterparts: same blocks without experts, initialised at scale 1. */
const dense = { family: 'dense', initScale: 1 } as const;
export const denseBase = recipe(published('dense-base', { ...base, ...dense }, { batch: 128, steps: MANY_STEPS }));
export const denseLarge = recipe(published('dense-large', { ...large, ...dense }, { batch: 128, accumulate: 8, steps: MANY_STEPS }));
