/** Training in an open run: data, tokenizer, model and loop, recorded and shown. */
import { formatCount, formatDuration, UserError } from '../base/index.ts';
import { describeData } from '../data/index.ts';
import type { MachineExecutor } from '../exec/index.ts';
import { environment, type Run } from '../runs/index.ts';
import type { StepShape } from '../routing/index.ts';
import { loadTokenizer, type Tokenizer } from '../text/index.ts';
import { fixSteps, prepare, type Prepared, type Recipe, train } from '../train/index.ts';
import type { ProgressState } from './progress-state.ts';
import { watch } from './progress.ts';
import { POSITION_BUCKETS, recorded } from './record.ts';
import type { Ended } from './run-session.ts';
import { shownPath } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

export interface Training {
  /** `train.steps` may be 0: then it is fixed here, before step 0. */
  readonly recipe: Recipe;
  readonly executor: MachineExecutor;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** As performance.now(). */
  readonly deadline: number | undefined;
}

export interface Trained extends Ended, Prepared {
  /** With its steps fixed. */
  readonly recipe: Recipe;
  readonly progress: ProgressState;
}

const PEAK_SECONDS = 0.2;

export async function trainIn(run: Run, { recipe: asked, executor, terminal, signal, deadline }: Training): Promise<Trained> {
  terminal.say(`run ${run.id} in ${shownPath(run.dir)}`);
  const prepared = await prepareIn(run, asked, { terminal, signal });
  const recipe = await fixedIn(run, asked, { prepared, executor, terminal, signal });
  await run.write(
    'env.json',
    pretty(
      await environment({
        engine: { executor: executor.name, ...executor.facts },
        seeds: { recipe: recipe.seed },
        data: prepared.dataset.hash,
      }),
    ),
  );
  const events = train({ ...prepared, recipe, executor, run, signal, ...(deadline !== undefined && { deadline }) });
  const shape = stepShape(recipe);
  const peak = executor.peak(PEAK_SECONDS) * 1e9;
  const progress = await watch(recorded(events, run, shape), { terminal, shape, peak, clock: () => performance.now() });
  return { ...prepared, recipe, progress, step: progress.step, state: progress.ending === 'finished' ? 'finished' : 'stopped' };
}

export const stepShape = ({ model, data }: Recipe): StepShape => ({
  experts: model.experts,
  topK: model.topK,
  buckets: Math.min(POSITION_BUCKETS, data.length),
  sequenceLength: data.length,
});

/** The run keeps its tokenizer: a resumed run need not train it again. */
async function prepareIn(run: Run, recipe: Recipe, { terminal, signal }: Pick<Training, 'terminal' | 'signal'>): Promise<Prepared> {
  const kept = await keptTokenizer(run);
  const started = performance.now();
  terminal.say(
    kept ? `reading ${recipe.data.source}` : `training a tokenizer of ${recipe.tokenizer.vocab} pieces on ${recipe.data.source}`,
  );
  const prepared = await prepare(recipe, { tokenizer: kept, signal });
  const { dataset, tokenizer } = prepared;
  if (!kept) await run.write('tokenizer.json', JSON.stringify(tokenizer.toJSON()));
  await run.write('data.md', describeData(dataset));
  const tokens = dataset.trainRows * dataset.length;
  const [domains, seconds] = [dataset.domains.length, (performance.now() - started) / 1000];
  terminal.say(`${domains} domains, ${formatCount(tokens)} training tokens, ${tokenizer.vocabSize} pieces, in ${formatDuration(seconds)}`);
  return prepared;
}

async function keptTokenizer(run: Run): Promise<Tokenizer | undefined> {
  try {
    return loadTokenizer(await run.readJson('tokenizer.json'));
  } catch (error) {
    if (error instanceof UserError) return undefined; // absent or damaged: training makes the same again
    throw error;
  }
}

interface Fixing {
  readonly prepared: Prepared;
  readonly executor: MachineExecutor;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Fixes the number of steps once, and has the run know it, so that resume and replay use it. */
async function fixedIn(run: Run, recipe: Recipe, { prepared, executor, terminal, signal }: Fixing): Promise<Recipe> {
  if (recipe.train.steps > 0) return recipe;
  const fixed = await fixSteps(recipe, prepared, executor, signal);
  terminal.say(`${fixed.train.steps} steps, from a speed probe for ${formatDuration(recipe.train.seconds)}`);
  const origin = (await run.readJson('origin.json')) as object;
  await run.write('origin.json', pretty({ ...origin, 'train.steps': 'speed probe' }));
  await run.write('recipe.json', pretty(fixed));
  return fixed;
}

const pretty = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** Numbers of a session, as verbs report them. */
export function sessionNumbers({ recipe, progress: p }: Pick<Trained, 'recipe' | 'progress'>) {
  const done = p.step - p.from;
  const last = p.recent;
  return {
    step: p.step,
    steps: recipe.train.steps,
    tokens: p.step * p.tokensPerStep,
    params: p.params,
    loss: {
      train: last.length > 0 ? last.reduce((sum, r) => sum + r.crossEntropy, 0) / last.length : null,
      val: p.validation?.loss ?? null,
    },
    /** A stopped run was last validated some steps ago. */
    val_step: p.validation?.step ?? null,
    val_by_domain: p.validation?.byDomain ?? {},
    tok_per_s: done > 0 ? (done * p.tokensPerStep) / p.stepSeconds : null,
    share_of_peak: done > 0 && p.peak ? (done * p.flopsPerStep) / p.stepSeconds / p.peak : null,
  };
}
