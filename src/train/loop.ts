/** The training loop: all state is one value, all news is an event. */
import { EXIT, UserError } from '../base/index.ts';
import type { Dataset } from '../data/index.ts';
import type { NewestSound, Run } from '../runs/index.ts';
import type { Tokenizer } from '../text/index.ts';
import { checkCursor, checkpointFiles, readState } from './checkpoint.ts';
import type { TrainEvent } from './events.ts';
import { trainingFlops } from './flops.ts';
import { initialValues } from './initial.ts';
import type { Recipe } from './recipe.ts';
import { openSession, type Session } from './session.ts';
import { openValidation, type Validation } from './validation.ts';
import type { Executor, Model } from './vocabulary.ts';

export interface TrainNeeds {
  /** With `train.steps` fixed. */
  readonly recipe: Recipe;
  readonly model: Model;
  readonly dataset: Dataset;
  readonly tokenizer: Tokenizer;
  readonly executor: Executor;
  readonly run: Run;
  /** Stops after the step in hand, saved. */
  readonly signal?: AbortSignal;
  /** As performance.now(): stops before this moment, saved. */
  readonly deadline?: number;
}

/** Rolling checkpoints that are kept. */
const ROLLING = 2;

/**
 * Continues from the run's newest sound checkpoint if it has one; stopped anywhere and resumed, it ends with the same bytes.
 * Throws UserError E_DIVERGED (exit 7) naming the last good checkpoint.
 */
export async function* train(needs: TrainNeeds): AsyncGenerator<TrainEvent> {
  const { recipe, model, executor, dataset } = needs;
  const session = await openSession(model, recipe, executor);
  const validation = await openValidation(model, executor, dataset, recipe);
  try {
    yield* steps(needs, session, validation);
  } finally {
    validation.close();
    session.close();
  }
}

/** Steps whose checkpoints stay for good. */
export const permanentSteps = ({ checkpoints, train: { steps: all } }: Recipe): ReadonlySet<number> =>
  new Set([...checkpoints.probeShares.map((share) => Math.round(share * all)), all]);

async function* steps(needs: TrainNeeds, session: Session, validation: Validation): AsyncGenerator<TrainEvent> {
  const { recipe, model, dataset, tokenizer, run, signal, deadline } = needs;
  const { steps: last, batch, accumulate } = recipe.train;
  const tokensPerStep = batch * accumulate * recipe.data.length;
  const permanent = permanentSteps(recipe);
  const save = async (step: number): Promise<TrainEvent> => {
    await run.saveCheckpoint(step, checkpointFiles(model, session, tokenizer, { step, seed: recipe.seed, dataHash: dataset.hash }));
    await run.keep({ permanent: (s) => permanent.has(s), rolling: ROLLING });
    return { kind: 'saved', step, permanent: permanent.has(step) };
  };

  let step = await restoreOrBegin(needs, session);
  yield {
    kind: 'start',
    step,
    steps: last,
    params: { total: model.counts.total, active: model.counts.active },
    flopsPerStep: trainingFlops(model, batch * accumulate, recipe.data.length),
    tokensPerStep,
    memory: { ...session.memory, arena: session.memory.arena + validation.memory },
  };
  if (step === 0) {
    yield await save(0);
    yield await validation.run(session.weights, 0);
  }
  let savedAt = performance.now();
  const validationEvery = Math.max(1, Math.round(recipe.validation.everyShare * last));
  while (step < last) {
    const late = deadline !== undefined && performance.now() >= deadline;
    if (signal?.aborted || late) {
      if (!(await run.checkpoints()).includes(step)) yield await save(step);
      yield { kind: 'stopped', step, reason: late && !signal?.aborted ? 'time' : 'signal' };
      return;
    }
    const started = performance.now();
    const result = await session.step(dataset.trainBatch({ seed: recipe.seed, step, batch: batch * accumulate }), step);
    step++;
    await refuseDivergence(result.loss, result.crossEntropy, { model, run, step });
    yield { kind: 'step', step, ...result, tokens: step * tokensPerStep, seconds: (performance.now() - started) / 1000 };
    if (step % validationEvery === 0 || step === last) yield await validation.run(session.weights, step);
    if (permanent.has(step) || performance.now() - savedAt > recipe.checkpoints.everySeconds * 1000) {
      yield await save(step);
      savedAt = performance.now();
    }
  }
  await run.keep({ permanent: (s) => permanent.has(s), rolling: 0 });
  yield { kind: 'finished', step };
}

async function restoreOrBegin({ recipe, model, dataset, run }: TrainNeeds, session: Session): Promise<number> {
  const { step, skipped } = await run.newestSound();
  for (const bad of skipped)
    run.log(`checkpoint ${bad.step} is damaged and was passed over: ${bad.damages.map((d) => `${d.file} ${d.reason}`).join('; ')}`);
  if (step === undefined) {
    if (skipped.length > 0) throw everyDamaged(run, skipped);
    session.restore({ parameters: initialValues(model, recipe.seed) });
    return 0;
  }
  const checkpoint = await run.readCheckpoint(step);
  await checkCursor(checkpoint, { seed: recipe.seed, dataHash: dataset.hash });
  session.restore(await readState(model, session, checkpoint));
  await run.truncateAfter(step);
  return step;
}

/** Starting again from nothing would overwrite what may still be saved by hand. */
function everyDamaged(run: Run, skipped: NewestSound['skipped']): UserError {
  const problems = skipped.flatMap(({ step, damages }) =>
    damages.map((d) => ({ message: `${d.file} ${d.reason}`, place: run.path('checkpoints', `step ${step}`) })),
  );
  return new UserError(
    'E_CHECKPOINT_DAMAGED',
    EXIT.damaged,
    problems.map((p) => ({ ...p, hint: 'no sound checkpoint is left: restore one, or start another run' })),
  );
}

/** A cross-entropy this many times that of a uniform guess will not come back. */
const HOPELESS = 3;

async function refuseDivergence(
  loss: number,
  crossEntropy: number,
  { model, run, step }: { model: Model; run: Run; step: number },
): Promise<void> {
  if (Number.isFinite(loss) && crossEntropy < HOPELESS * Math.log(model.config.vocab)) return;
  const { step: good } = await run.newestSound();
  throw new UserError('E_DIVERGED', EXIT.diverged, {
    message: `training diverged at step ${step}: loss ${loss}, cross-entropy ${crossEntropy}`,
    place: run.dir,
    hint: good === undefined ? 'no checkpoint was saved before' : `the last good checkpoint is that of step ${good}; lower schedule.base`,
  });
}
