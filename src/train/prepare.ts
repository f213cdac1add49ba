/** From a recipe to what its training needs: data, tokenizer, model, and a number of steps. */
import { type Dataset, folder, prepare as prepareDataset, sampleTexts, type Source, starterCorpus } from '../data/index.ts';
import { type Tokenizer, trainBpe } from '../text/index.ts';
import { initialValues } from './initial.ts';
import type { Recipe } from './recipe.ts';
import { openSession } from './session.ts';
import { type Executor, FAMILIES, type Model } from './vocabulary.ts';

export interface Prepared {
  readonly model: Model;
  readonly dataset: Dataset;
  readonly tokenizer: Tokenizer;
}

/** What is being done before the first step. */
export type PrepareEvent =
  | { readonly kind: 'tokenizer'; readonly done: number; readonly of: number }
  | { readonly kind: 'tokens'; readonly documents: number; readonly bytes: number; readonly tokens: number };

export interface PrepareOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((e: PrepareEvent) => void) | undefined;
}

/** Characters that the tokenizer is trained on, spread over the domains. */
const TOKENIZER_SAMPLE = 12_000_000;

export const modelOf = (recipe: Recipe): Model => FAMILIES[recipe.model.family]({ ...recipe.model, precision: recipe.precision });

export const sourceOf = async (recipe: Recipe): Promise<Source> =>
  recipe.data.source === 'starter' ? starterCorpus() : folder(recipe.data.source);

export async function trainTokenizer(
  source: Source,
  vocab: number,
  { signal, onProgress = () => {} }: PrepareOptions = {},
): Promise<Tokenizer> {
  const texts = await sampleTexts(source, TOKENIZER_SAMPLE);
  return trainBpe(texts, { vocabSize: vocab, ...(signal && { signal }) }, (p) =>
    onProgress({ kind: 'tokenizer', done: p.phase === 'merge' ? p.done : 0, of: vocab }),
  );
}

/** Trains the tokenizer unless one is given (a resumed run has its own), and tokenizes the data. Throws UserErrors of data. */
export async function prepare(
  recipe: Recipe,
  { tokenizer, signal, onProgress = () => {} }: PrepareOptions & { readonly tokenizer?: Tokenizer | undefined } = {},
): Promise<Prepared> {
  const source = await sourceOf(recipe);
  const own = tokenizer ?? (await trainTokenizer(source, recipe.tokenizer.vocab, { signal, onProgress }));
  signal?.throwIfAborted();
  const batch = recipe.train.batch * recipe.train.accumulate;
  const needs = { length: recipe.data.length, batch, ...(signal && { signal }) };
  const dataset = await prepareDataset(source, own, needs, (p) => onProgress({ kind: 'tokens', ...p }));
  return { model: modelOf(recipe), dataset, tokenizer: own };
}

/** Seconds of the speed probe at most, and steps at least. */
const PROBE_SECONDS = 4;
const PROBE_STEPS = 3;
/** Share of the time for steps, validation and probe; the rest is for writing checkpoints. */
const COMPUTING = 0.95;
/** A forward pass, in training steps of as many rows: one of the three matmuls of each weight. */
const FORWARD = 1 / 3;
/** However much there is to read, steps get this share: on slow machines the whole takes longer instead. */
const LEAST_SHARE = 0.5;

/**
 * The recipe with `train.steps` fixed: as many as `train.seconds` allow, with validation and the probe of the kept checkpoints, at the
 * speed of a short trial on throw-away state.
 */
export async function fixSteps(recipe: Recipe, { model, dataset }: Prepared, executor: Executor, signal?: AbortSignal): Promise<Recipe> {
  if (recipe.train.steps > 0) return recipe;
  const session = await openSession(model, recipe, executor);
  session.restore({ parameters: initialValues(model, recipe.seed) });
  const times: number[] = [];
  for (const start = performance.now(); times.length < PROBE_STEPS || performance.now() - start < PROBE_SECONDS * 1000;) {
    signal?.throwIfAborted();
    const from = performance.now();
    await session.step(
      dataset.trainBatch({ seed: recipe.seed, step: times.length, batch: recipe.train.batch * recipe.train.accumulate }),
      times.length,
    );
    times.push((performance.now() - from) / 1000);
  }
  session.close();
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)]!;
  const room = (recipe.train.seconds * COMPUTING) / median;
  const reading = (FORWARD * rowsRead(recipe, dataset)) / (recipe.train.batch * recipe.train.accumulate);
  const steps = Math.max(1, Math.floor(Math.max(room - reading, room * LEAST_SHARE)));
  return { ...recipe, train: { ...recipe.train, steps } };
}

/** Rows that validation and the probe of the kept checkpoints read in a whole training. */
function rowsRead({ seed, data, validation, checkpoints, probe }: Recipe, dataset: Dataset): number {
  const probed = dataset.probeRows({ seed, sequencesPerDomain: probe.sequencesPerDomain }).tokens.length / data.length;
  return validation.rows / validation.everyShare + probed * new Set([...checkpoints.probeShares, 1]).size;
}
