/** Probes a run: the same probe set through its kept checkpoints, and what that says about its routers. */
import { UserError } from '../base/index.ts';
import type { MachineExecutor } from '../exec/index.ts';
import { analyse, type Findings, openProber, type Prober, type RoutingRecord } from '../routing/index.ts';
import type { RunFolder } from '../runs/index.ts';
import { permanentSteps, type Prepared, type Recipe, readTrained } from '../train/index.ts';
import type { ValidationLine } from './history.ts';
import type { Terminal } from './terminal.ts';
import { resident } from './trained.ts';

export interface ProbeNeeds extends Pick<Prepared, 'dataset' | 'model'> {
  readonly run: RunFolder;
  /** With its steps fixed. */
  readonly recipe: Recipe;
  readonly executor: MachineExecutor;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Probes the kept checkpoints up to `last` and judges them; undefined for a model that routes nothing. */
export async function findingsOf(
  needs: ProbeNeeds,
  { last, validation }: { readonly last: number; readonly validation: readonly ValidationLine[] },
): Promise<Findings | undefined> {
  const { recipe, run, model } = needs;
  if (model.moeLayers.length === 0) return undefined;
  const kept = permanentSteps(recipe);
  const steps = (await run.checkpoints()).filter((step) => step === last || (step < last && kept.has(step)));
  const { records, trainCapacity } = await withProber(needs, async (prober) => ({
    records: await recordsOf(needs, prober, steps),
    trainCapacity: prober.trainCapacity,
  }));
  const lossAt = new Map(validation.map(({ step, loss }) => [step, loss]));
  const notes = records.map(({ step }) => (lossAt.has(step) ? { loss: lossAt.get(step)! } : {}));
  return analyse(records, { seed: recipe.seed, trainCapacity, notes });
}

/** The record of one checkpoint. */
export const recordOf = (needs: ProbeNeeds, step: number): Promise<RoutingRecord> =>
  withProber(needs, (prober) => recordAt(needs, prober, step));

async function withProber<T>({ dataset, model, recipe, executor }: ProbeNeeds, work: (prober: Prober) => Promise<T>): Promise<T> {
  const domains = dataset.domains.map((d) => d.name);
  const heldOut = dataset.domains.filter((d) => d.heldOut).map((d) => d.name);
  const rows = dataset.probeRows({ seed: recipe.seed, sequencesPerDomain: recipe.probe.sequencesPerDomain });
  const prober = await openProber(model, executor, { rows, length: dataset.length, domains, heldOut, batch: recipe.train.batch }, 'eval');
  try {
    return await work(prober);
  } finally {
    prober.close();
  }
}

/** Damaged checkpoints are passed over, and told. */
async function recordsOf(needs: ProbeNeeds, prober: Prober, steps: readonly number[]): Promise<RoutingRecord[]> {
  const records: RoutingRecord[] = [];
  for (const [i, step] of steps.entries()) {
    needs.signal.throwIfAborted();
    needs.terminal.say(`probing checkpoint ${step} (${i + 1} of ${steps.length})`);
    try {
      records.push(await recordAt(needs, prober, step));
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== 'E_CHECKPOINT_DAMAGED' || step === steps.at(-1)) throw error;
      needs.terminal.say(`${error.message}; passed over`);
    }
  }
  return records;
}

async function recordAt({ run, model, executor, recipe }: ProbeNeeds, prober: Prober, step: number): Promise<RoutingRecord> {
  const { weights } = await readTrained(await run.readCheckpoint(step));
  return prober.record(resident(executor, model, weights), { step, share: step / recipe.train.steps });
}
