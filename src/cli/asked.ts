/** What `train` and `quickstart` are asked for: a recipe to begin, or a run to go on with; and the run they work in. */
import { RECIPES } from '../../recipes/index.ts';
import { EXIT, type Problem, suggest, UserError } from '../base/index.ts';
import { type MachineExecutor, openExecutor } from '../exec/index.ts';
import { environment, readRun, type Run } from '../runs/index.ts';
import { checkRecipe, sourceOf } from '../train/index.ts';
import { parseSeconds, parseText, parseWithin, value, yes } from './command.ts';
import { planMemory, refuseTooLarge } from './planning.ts';
import { type Assignment, changed, chooseRecipe, differences, isAssignment, type RecipeChoice } from './recipe-choice.ts';
import { type Ended, existingRun, inRun, type Opening } from './run-session.ts';
import { memoryLimit, runsRoot, shownPath } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

const MOST_SEED = Number.MAX_SAFE_INTEGER;

export const seedFlag = value({ form: '<n>', about: 'seed of weights and of the order of data', parse: parseWithin(0, MOST_SEED) });
export const runFlag = value({
  form: '<dir>',
  about: 'folder of the run (default: a new one in OPENMOE_RUNS, else runs)',
  parse: parseText,
});
export const maxTimeFlag = value({
  form: '<duration>',
  about: 'stop after this long, saved and resumable: 90s, 25m, 1h30m',
  parse: parseSeconds,
});
export const resumeFlag = yes('go on with a run (of --run, else the last one) from its newest sound checkpoint');

export const isaFlag = yes(
  'go on although this machine computes with other vector instructions: the bits will not be those of an uninterrupted run',
);

/** As performance.now(): the moment `seconds` from now. */
export const deadlineIn = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : performance.now() + seconds * 1000;

interface Asked {
  readonly recipe: string | undefined;
  /** The verb means this recipe whatever is typed: a run goes on with its own. */
  readonly implied?: boolean;
  readonly settings: readonly string[];
  readonly run: string | undefined;
  readonly resume: boolean;
  readonly seed: number | undefined;
  readonly root: string;
}

/** The recipe to train, and the run to go on with if there is one. */
export async function askedFor({
  recipe: first,
  implied = false,
  settings,
  run,
  resume,
  seed,
  root,
}: Asked): Promise<RecipeChoice & { readonly resume?: string }> {
  const named = first !== undefined && !isAssignment(first) ? first : undefined;
  const texts = first !== undefined && named === undefined ? [first, ...settings] : settings;
  const assignments: Assignment[] = texts.map((text) => ({ text, origin: text }));
  if (seed !== undefined) assignments.push({ text: `seed=${seed}`, origin: '--seed' });
  const dir = resume ? await existingRun(run ?? 'last', root) : undefined;
  if (dir !== undefined) return { ...(await unchanged(dir, implied ? undefined : named, assignments)), resume: dir };
  // With a recipe there is something to begin: whoever repeats a command until it is done need not know whether it ever began.
  if (named !== undefined) return chooseRecipe(named, assignments);
  if (resume)
    throw new UserError('E_RUN_UNKNOWN', EXIT.notFound, {
      message: `there is no run ${run ?? 'to go on with'}`,
      place: run === undefined ? root : '--run',
      hint: 'npx openmoe runs lists those there are',
    });
  throw new UserError('E_USAGE', EXIT.usage, { message: 'which recipe?', place: 'openmoe train', hint: suggest('', Object.keys(RECIPES)) });
}

/** The run's own recipe. Throws UserError E_RECIPE_CHANGED (usage) with the difference when another is asked for. */
async function unchanged(dir: string, named: string | undefined, assignments: readonly Assignment[]): Promise<RecipeChoice> {
  const folder = await readRun(dir);
  const own = ownRecipe(await folder.readJson('recipe.json'), folder.path('recipe.json'));
  const origin = (await folder.readJson('origin.json')) as RecipeChoice['origin'];
  const asked =
    named === undefined
      ? changed({ input: own, name: `recipe of ${folder.id}` }, assignments).recipe
      : (await chooseRecipe(named, assignments)).recipe;
  // Steps that a speed probe fixed are the run's.
  const comparable = asked.train.steps === 0 ? { ...asked, train: { ...asked.train, steps: own.train.steps } } : asked;
  const wrong = differences(own, comparable).map((message): Problem => ({ message, place: shownPath(dir) }));
  if (wrong.length > 0)
    throw new UserError(
      'E_RECIPE_CHANGED',
      EXIT.usage,
      wrong.map((p) => ({ ...p, hint: 'a run goes on with the recipe it began with; start another run for another recipe' })),
    );
  return { recipe: own, origin };
}

function ownRecipe(json: unknown, place: string) {
  try {
    return checkRecipe(json, place);
  } catch (error) {
    if (error instanceof UserError) throw new UserError('E_RUN_DAMAGED', EXIT.damaged, error.problems);
    throw error;
  }
}

export interface AskedRun extends RecipeChoice {
  /** The folder of the run to go on with. */
  readonly resume?: string;
  /** Another instruction set than the run began with is accepted. */
  readonly allowIsaChange: boolean;
  /** Where a new run is to be. */
  readonly dir: string | undefined;
  readonly tags: readonly string[];
  readonly threads: number;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Works in that run with the engine, once it is known that the recipe fits this machine.
 * Throws E_NO_ENGINE (not found), E_MEMORY (does not fit), E_RUN_EXISTS, E_RUN_BUSY (usage).
 */
export async function inAskedRun<T extends Ended>(asked: AskedRun, work: (run: Run, executor: MachineExecutor) => Promise<T>): Promise<T> {
  const { recipe, origin, resume, dir, tags, threads, terminal, signal } = asked;
  const executor = openExecutor({ threads });
  await refuseTooLarge(recipe, await planMemory(recipe), memoryLimit());
  const fresh = async (): Promise<Opening> => ({
    create: {
      root: runsRoot(terminal.env),
      ...(dir !== undefined && { dir }),
      recipe,
      origin,
      tags,
      env: await environment({ engine: { executor: executor.name, ...executor.facts } }),
    },
  });
  try {
    // A folder that is not there, or holds no text, is told before a run is made for it.
    if (resume === undefined) await sourceOf(recipe);
    else if (!asked.allowIsaChange) await refuseOtherIsa(resume, executor.facts.isa);
    return await inRun(resume === undefined ? await fresh() : { resume }, { terminal, signal }, (run) => work(run, executor));
  } finally {
    executor.close();
  }
}

/** The promise of identical bits holds on one instruction set. Throws UserError E_ISA_CHANGED (usage). */
async function refuseOtherIsa(dir: string, isa: string): Promise<void> {
  const folder = await readRun(dir);
  const { engine } = (await folder.readJson('env.json')) as { readonly engine?: { readonly isa?: string } };
  if (engine?.isa === undefined || engine.isa === isa) return;
  throw new UserError('E_ISA_CHANGED', EXIT.usage, {
    message: `the run began with ${engine.isa} instructions, this machine would go on with ${isa}: its bits would not be those of an uninterrupted run`,
    place: folder.path('env.json'),
    hint: 'go on all the same with --allow-isa-change',
  });
}
