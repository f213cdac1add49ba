/** Working inside a run folder: made or opened, its state true whatever happens, closed at the end. */
import { UserError } from '../base/index.ts';
import { createRun, findRun, type NewRun, openRun, readRun, type Run } from '../runs/index.ts';
import { resumeCommand } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

/** How work in a run ended; `detail` goes to run.json. */
export interface Ended {
  readonly state: 'finished' | 'stopped';
  readonly step: number;
}

/** The folder of an existing run that `ref` means; undefined when there is none. Throws UserErrors for refs that mean no single run. */
export async function existingRun(ref: string, root: string): Promise<string | undefined> {
  try {
    return (await readRun(ref)).dir;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  try {
    return (await findRun(ref, root)).dir;
  } catch (error) {
    if (error instanceof UserError && error.code === 'E_RUN_UNKNOWN') return undefined;
    throw error;
  }
}

export type Opening = { readonly resume: string } | { readonly create: NewRun };

/** Does `work` in a run that is held for it, then sets the run's state: also when work throws, or is stopped by `signal`. */
export async function inRun<T extends Ended>(
  opening: Opening,
  { terminal, signal }: { terminal: Terminal; signal: AbortSignal },
  work: (run: Run) => Promise<T>,
): Promise<T> {
  const run = 'resume' in opening ? await openRun(opening.resume) : await createRun(opening.create);
  try {
    const ended = await work(run);
    await run.setState(ended.state, { step: ended.step });
    if (ended.state === 'stopped') await sayHowToGoOn(run, terminal);
    return ended;
  } catch (error) {
    const state =
      signal.aborted && !(error instanceof UserError)
        ? 'stopped'
        : error instanceof UserError && error.code === 'E_DIVERGED'
          ? 'diverged'
          : 'crashed';
    const reason = error instanceof UserError ? error.code : (error as Error).name;
    await run.setState(state, { reason, step: (await run.checkpoints()).at(-1) ?? 0 }).catch(() => {}); // the failure itself is what must be told
    if (state !== 'diverged') await sayHowToGoOn(run, terminal);
    throw error;
  } finally {
    await run.close();
  }
}

async function sayHowToGoOn(run: Run, { say, colors }: Terminal): Promise<void> {
  const step = (await run.checkpoints()).at(-1);
  const saved = step === undefined ? 'nothing was saved yet' : `saved at step ${step}`;
  say(`${saved}; go on: ${colors.err.bold(resumeCommand(run.dir, await tagsOf(run)))}`);
}

const tagsOf = async (run: Run): Promise<readonly string[]> => (await run.info()).tags;
