/** A trained run opened again with its data, for those who measure it. */
import type { Buffers, MachineExecutor } from '../exec/index.ts';
import type { RunFolder } from '../runs/index.ts';
import { checkRecipe, prepare, type Prepared, type Recipe } from '../train/index.ts';
import type { Terminal } from './terminal.ts';
import { openTrained } from './trained.ts';

export interface Reopened extends Prepared {
  readonly run: RunFolder;
  readonly recipe: Recipe;
  readonly executor: MachineExecutor;
  readonly weights: Buffers;
  readonly step: number;
}

/** Throws UserErrors: unknown run or step (3), damaged run or checkpoint (4), data that has gone (2, 3). */
export async function reopen(
  ref: string,
  terminal: Terminal,
  { threads, signal }: { readonly threads: number | undefined; readonly signal: AbortSignal },
): Promise<Reopened> {
  const { run, step, tokenizer, executor, weights } = await openTrained(ref, terminal, threads);
  const recipe = checkRecipe(await run.readJson('recipe.json'), run.path('recipe.json'));
  terminal.say(`${run.id} at step ${step}; reading ${recipe.data.source}`);
  return { ...(await prepare(recipe, { tokenizer, signal })), run, recipe, executor, weights, step };
}
