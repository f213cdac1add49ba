/** A model reference opened for use: the checkpoint's model, tokenizer, and weights resident with an executor. */
import { EXIT, UserError } from '../base/index.ts';
import { type Buffers, type MachineExecutor, type Model, openExecutor } from '../infer/index.ts';
import { findRun, readRun, type RunFolder } from '../runs/index.ts';
import type { Tokenizer } from '../text/index.ts';
import { readTrained } from '../train/index.ts';
import type { Terminal } from './terminal.ts';
import { chosenThreads, runsRoot } from './surroundings.ts';

export interface OpenCheckpoint {
  readonly run: RunFolder;
  readonly step: number;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly weights: Buffers;
  readonly executor: MachineExecutor;
}

/** The step that a reference means: the one it names, else the newest sound one. Throws E_CHECKPOINT_UNKNOWN (not found). */
export async function referencedStep(
  ref: string,
  terminal: Terminal,
  newest: 'newestSound' | 'newestWhole',
): Promise<{ run: RunFolder; step: number }> {
  const found = await findRun(ref, runsRoot(terminal.env));
  const run = await readRun(found.dir);
  if (found.step !== undefined) return { run, step: found.step };
  const { step, skipped } = await run[newest]();
  for (const bad of skipped)
    terminal.say(
      `warning: checkpoint ${bad.step} is damaged and was passed over: ${bad.damages.map((d) => `${d.file} ${d.reason}`).join('; ')}`,
    );
  if (step !== undefined) return { run, step };
  const damaged = skipped.length > 0;
  throw new UserError(damaged ? 'E_CHECKPOINT_DAMAGED' : 'E_CHECKPOINT_UNKNOWN', damaged ? EXIT.damaged : EXIT.notFound, {
    message: damaged ? 'every checkpoint of this run is damaged' : 'this run has not saved a checkpoint yet',
    place: run.dir,
    hint: `go on with it: npx openmoe train --resume --run ${run.dir}`,
  });
}

/** Throws UserErrors: unknown run or step (3), damaged checkpoint (4), no engine (3), no memory (5). */
export async function openTrained(ref: string, terminal: Terminal, threads: number | undefined): Promise<OpenCheckpoint> {
  const executor = openExecutor({ threads: chosenThreads(threads, terminal.env).count });
  const { run, step } = await referencedStep(ref, terminal, 'newestSound');
  const { model, weights, tokenizer } = await readTrained(await run.readCheckpoint(step));
  return { run, step, model, tokenizer, executor, weights: resident(executor, model, weights) };
}

/** Buffers with these values, by parameter path. */
export const resident = (executor: MachineExecutor, model: Model, values: ReadonlyMap<string, Float32Array>): Buffers =>
  Object.fromEntries(model.list.map((p) => [p.path, executor.put(values.get(p.path)!, { dtype: 'f32', shape: p.shape })]));
