/** Models and batches of the peers' training steps. */
import { recipe, type Recipe, type RecipeInput } from '../train/index.ts';

/** No choice is dropped, as in the peers' runs, so that the work of a step is known. */
export const NO_DROPS = { capacityFactorTrain: 1e6, groupSize: 1_000_000 } as const;

const peer = (name: string, model: RecipeInput['model'], batch: number, length: number): RecipeInput => ({
  name,
  model: { ...model, ...NO_DROPS },
  tokenizer: { vocab: 512 },
  data: { length },
  train: { batch, steps: 1 },
});
const base = { vocab: 32_128, hidden: 768, inner: 2048, heads: 12, headSize: 64, moeInterval: 4, experts: 16 } as const;

const SPARSE = {
  quick: peer('quick', { vocab: 8192, hidden: 256, inner: 512, layers: 6, heads: 8, headSize: 32, moeInterval: 2, experts: 16 }, 8, 256),
  'base-lite': peer('base-lite', { ...base, layers: 4 }, 4, 512),
  base: peer('base', { ...base, layers: 12 }, 2, 512),
} as const;

/** What the dense twin of a configuration is called. */
const DENSE = '-dense';
const twin = (r: RecipeInput): RecipeInput => ({ ...r, name: `${r.name}${DENSE}`, model: { ...r.model, family: 'dense-twin' } });

/** `quick`, `base-lite` and `base`, and the dense twin of each: equal active FLOPs, no router. */
export const CONFIGS: Readonly<Record<string, RecipeInput>> = {
  ...SPARSE,
  ...Object.fromEntries(Object.values(SPARSE).map((r) => [`${r.name}${DENSE}`, twin(r)])),
};

/** A configuration by name, completed. */
export const peerRecipe = (name: string): Recipe => recipe(CONFIGS[name]!);

/** Under which configuration and as which kind of experts a peer has it. */
export const peerFacts = (name: string): { readonly config: string; readonly experts_by?: string } =>
  name.endsWith(DENSE) ? { config: name.slice(0, -DENSE.length), experts_by: 'dense' } : { config: name };
