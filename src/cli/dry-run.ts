/** What training a recipe would take, before anything is trained. */
import { benchStep } from '../bench/index.ts';
import { formatBytes, formatCount, formatDuration, UserError, inColumns } from '../base/index.ts';
import { openExecutor } from '../exec/index.ts';
import { modelOf, type Recipe } from '../train/index.ts';
import type { Answer } from './command.ts';
import { flopsPerToken, type MemoryPlan, planMemory, tokensPerStep } from './planning.ts';
import { memoryLimit } from './surroundings.ts';

/** Where the time estimate comes from. */
type Estimate =
  | { readonly seconds: number; readonly from: 'probe' }
  /** Of the measured peak, where the model is too large to try. */
  | { readonly seconds: number; readonly from: 'peak'; readonly share: number }
  | { readonly seconds: null; readonly from: 'no engine' };

export async function dryRun(recipe: Recipe, threads: number): Promise<Answer> {
  const { counts } = modelOf(recipe);
  const started = performance.now();
  const memory = await planMemory(recipe);
  const compiling = (performance.now() - started) / 1000;
  const limit = memoryLimit();
  const fits = memory.total <= limit;
  const flops = flopsPerToken(recipe);
  const estimate = await timeFor(recipe, { fits, flops, threads });
  const tokens = recipe.train.steps * tokensPerStep(recipe);
  const data = {
    recipe: recipe.name,
    params: { total: counts.total, active: counts.active },
    flops_per_token: flops,
    tokens_per_step: tokensPerStep(recipe),
    steps: recipe.train.steps,
    tokens,
    memory: { ...memory, limit },
    compile_seconds: compiling,
    fits,
    estimate,
  };
  return { schema: 'openmoe.dry-run/1', data, text: text(recipe, { counts, memory, limit, fits, flops, estimate, tokens, compiling }) };
}

/** A probe must be short: beyond this many seconds a step, by the peak, the estimate is arithmetic. */
const LONGEST_STEP = 2;
const PROBE_SECONDS = 1;
const PEAK_SECONDS = 0.2;
/** Of the peak, for training steps of large models on this engine. */
const USUAL_SHARE = 0.4;

async function timeFor(recipe: Recipe, { fits, flops, threads }: { fits: boolean; flops: number; threads: number }): Promise<Estimate> {
  let executor: ReturnType<typeof openExecutor>;
  try {
    executor = openExecutor({ threads });
  } catch (error) {
    if (error instanceof UserError) return { seconds: null, from: 'no engine' };
    throw error;
  }
  try {
    const { steps, seconds: wanted } = recipe.train;
    const guess = (flops * tokensPerStep(recipe)) / (USUAL_SHARE * executor.peak(PEAK_SECONDS) * 1e9);
    if (!fits || guess > LONGEST_STEP) return { seconds: steps > 0 ? guess * steps : wanted, from: 'peak', share: USUAL_SHARE };
    const { row } = await benchStep(executor, recipe, PROBE_SECONDS);
    return { seconds: steps > 0 ? row.median_s * steps : wanted, from: 'probe' };
  } finally {
    executor.close();
  }
}

interface Cost {
  readonly counts: { readonly total: number; readonly active: number };
  readonly memory: MemoryPlan;
  readonly limit: number;
  readonly fits: boolean;
  readonly flops: number;
  readonly estimate: Estimate;
  readonly tokens: number;
  /** Seconds to trace, differentiate, fuse and plan the programs of training and validation. */
  readonly compiling: number;
}

const digits = (n: number): string => n.toLocaleString('en-US');

function text(recipe: Recipe, { counts, memory, limit, fits, flops, estimate, tokens, compiling }: Cost): string {
  const { steps } = recipe.train;
  return inColumns([
    ['recipe', recipe.name],
    ['weights', `${digits(counts.total)} (${formatCount(counts.total)})`],
    ['active', `${digits(counts.active)} (${formatCount(counts.active)}) multiply each token, head included`],
    ['FLOPs', `${formatCount(flops)} a trained token`],
    [
      'steps',
      steps > 0
        ? `${digits(steps)} of ${digits(tokensPerStep(recipe))} tokens: ${formatCount(tokens)} tokens`
        : `as many of ${digits(tokensPerStep(recipe))} tokens as ${formatDuration(recipe.train.seconds)} allow`,
    ],
    ['memory', `${formatBytes(memory.total)} of ${formatBytes(limit)}${fits ? '' : ': does not fit'}`],
    ['  parameters', formatBytes(memory.parameters)],
    ['  optimizer', formatBytes(memory.optimizer)],
    ['  step', formatBytes(memory.step)],
    ['  validation', formatBytes(memory.validation)],
    ['compiling', formatDuration(compiling)],
    ['time', timeWords(estimate)],
  ]);
}

function timeWords(estimate: Estimate): string {
  switch (estimate.from) {
    case 'probe':
      return `about ${formatDuration(estimate.seconds)} of steps on this machine, from a probe`;
    case 'peak':
      return `about ${formatDuration(estimate.seconds)} at ${estimate.share * 100}% of this machine's peak`;
    case 'no engine':
      return 'unknown: the native engine is not built (see: npx openmoe doctor)';
  }
}
