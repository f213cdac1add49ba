/** The whole training step on random tokens, in the peers' configurations or a recipe's own. */
import { rng } from '../base/index.ts';
import type { CpuExecutor } from '../infer/index.ts';
import { initialValues, modelOf, openSession, recipe, type Recipe, type RecipeInput, trainingFlops } from '../train/index.ts';
import { measure, row, type Row } from './measure.ts';

/** No choice is dropped, as in the peers' runs, so that the work of a step is known. */
const NO_DROPS = { capacityFactorTrain: 1e6, groupSize: 1_000_000 } as const;

const peer = (name: string, model: RecipeInput['model'], batch: number, length: number): RecipeInput => ({
  name,
  model: { ...model, ...NO_DROPS },
  tokenizer: { vocab: 512 },
  data: { length },
  train: { batch, steps: 1 },
});
const base = { vocab: 32_128, hidden: 768, inner: 2048, heads: 12, headSize: 64, moeInterval: 4, experts: 16 } as const;

/** Shapes of the peer scripts; each has a dense twin of equal active FLOPs. */
export const CONFIGS = {
  quick: peer('quick', { vocab: 8192, hidden: 256, inner: 512, layers: 6, heads: 8, headSize: 32, moeInterval: 2, experts: 16 }, 8, 256),
  'base-lite': peer('base-lite', { ...base, layers: 4 }, 4, 512),
  base: peer('base', { ...base, layers: 12 }, 2, 512),
} as const;
export type StepConfigName = keyof typeof CONFIGS;

export const peerRecipe = (name: StepConfigName): Recipe => recipe(CONFIGS[name]);

/** Measures one step of a recipe. Drops are counted as work not done, as the peers do. */
export async function benchStep(
  executor: CpuExecutor,
  r: Recipe,
  seconds = 4,
): Promise<{ readonly row: Row; readonly session: StepProfile }> {
  const model = modelOf(r);
  const session = await openSession(model, r, executor);
  session.restore({ parameters: initialValues(model, r.seed) });
  const rows = r.train.batch * r.train.accumulate;
  const tokens = rows * r.data.length;
  const random = rng(1);
  const ids = (name: string): Int32Array => Int32Array.from({ length: tokens }, (_, n) => 1 + random.at(name).below(r.model.vocab - 1, n));
  const batch = {
    tokens: ids('tokens'),
    targets: ids('targets'),
    segments: new Int32Array(tokens).fill(1),
    weights: new Float32Array(tokens).fill(1),
    domains: new Int32Array(tokens),
  };
  let dropped = 0;
  let step = 0;
  const measured = await measure(
    executor,
    async () => {
      const { layers } = await session.step(batch, step++);
      dropped = layers.reduce((n, l) => n + l.kept.reduce((d, kept) => d + 1 - kept, 0), 0);
    },
    seconds,
  );
  // A choice multiplies the 4·H·F weights of an expert: once forward, twice backward, two FLOPs each.
  const flops = trainingFlops(model, rows, r.data.length) - dropped * 6 * 4 * r.model.hidden * r.model.inner;
  const measuredRow = row(`training step, ${r.name}`, `${rows}×${r.data.length}`, executor.facts.threads, measured, {
    flops,
    bytes: 0,
    writes: true,
  });
  const profile = session.profile();
  session.close();
  return { row: { ...measuredRow, tok_per_s: tokens / measured.median_s, model_flops: flops }, session: profile };
}

/** Seconds by op, largest first. */
export type StepProfile = readonly { readonly op: string; readonly count: number; readonly seconds: number }[];
