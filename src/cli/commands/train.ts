/** openmoe train: trains a recipe in a run folder, or says what that would take. */
import { RECIPES } from '../../../recipes/index.ts';
import { formatCount, formatDuration, formatShare } from '../../base/index.ts';
import { askedFor, deadlineIn, inAskedRun, isaFlag, maxTimeFlag, resumeFlag, runFlag, seedFlag } from '../asked.ts';
import { type Answer, command, optional, rest, yes } from '../command.ts';
import { dryRun } from '../dry-run.ts';
import { chosenThreads, resumeCommand, runsRoot, shownPath, threadsFlag } from '../surroundings.ts';
import { sessionNumbers, type Trained, trainIn } from '../training.ts';

export const train = command({
  about: 'Trains a recipe: one by name, or a .ts file of yours, with any of its settings changed',
  examples: [
    'train tiny',
    'train small model.experts=32 train.steps=2k',
    'train small data=texts --run runs/mine --max-time 25m',
    'train openmoe-8b --dry-run',
    'train --resume --run runs/mine',
  ],
  args: {
    recipe: optional(`name (${Object.keys(RECIPES).join(', ')}) or file; with --resume it may be left out`),
    settings: rest('key=value changes a setting, ~key gives it its default'),
  },
  flags: {
    run: runFlag,
    resume: resumeFlag,
    allowIsaChange: isaFlag,
    threads: threadsFlag,
    maxTime: maxTimeFlag,
    dryRun: yes('only say what it would take: weights, FLOPs, memory, time'),
    seed: seedFlag,
  },
  saves: true,
  streams: true,
  async run({ args, flags, terminal, signal }): Promise<Answer> {
    const deadline = deadlineIn(flags.maxTime);
    const threads = chosenThreads(flags.threads, terminal.env).count;
    const asked = await askedFor({ ...args, ...flags, root: runsRoot(terminal.env) });
    if (flags.dryRun) return dryRun(asked.recipe, threads);
    const started = performance.now();
    const trained = await inAskedRun(
      { ...asked, allowIsaChange: flags.allowIsaChange, dir: flags.run, tags: [], threads, terminal, signal },
      async (run, executor) => ({
        dir: run.dir,
        ...(await trainIn(run, { ...asked, executor, terminal, signal, deadline })),
      }),
    );
    return answer(trained, (performance.now() - started) / 1000);
  },
});

function answer(trained: Trained & { readonly dir: string }, seconds: number): Answer {
  const numbers = sessionNumbers(trained);
  const { dir, state } = trained;
  const resume = state === 'stopped' ? resumeCommand(dir, []) : null;
  return {
    schema: 'openmoe.train/1',
    data: { run: dir, state, seconds, ...numbers, resume },
    text: summary({ ...trained, ...numbers, seconds }),
  };
}

function summary({
  dir,
  state,
  step,
  steps,
  tokens,
  loss,
  val_step,
  tok_per_s,
  share_of_peak,
  seconds,
}: Trained & ReturnType<typeof sessionNumbers> & { dir: string; seconds: number }): string {
  const shown = shownPath(dir);
  const speed =
    tok_per_s === null
      ? ''
      : `, ${formatCount(tok_per_s)} tok/s${share_of_peak === null ? '' : ` (${formatShare(share_of_peak)} of peak)`}`;
  return [
    `${state}: step ${step} of ${steps}, ${formatCount(tokens)} tokens in ${formatDuration(seconds)}${speed}`,
    `loss ${loss.train?.toFixed(3) ?? '–'}, validation ${loss.val === null ? '–' : `${loss.val.toFixed(3)} (step ${val_step})`} nats per token`,
    `run ${shown}`,
    '',
  ].join('\n');
}
