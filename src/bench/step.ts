/** The whole training step on random tokens, in the peers' configurations or a recipe's own. */
import { rng } from '../base/index.ts';
import type { Batch } from '../data/index.ts';
import type { MachineExecutor, Model, Timed, Timeline } from '../infer/index.ts';
import { modelOf, openSession, type Recipe, type Session, trainingFlops } from '../train/index.ts';
import { CONFIGS, peerFacts } from './configs.ts';
import { watchLoop } from './event-loop.ts';
import { type Limits, limits, measure } from './measure.ts';
import { type Bound, floorOf, row, type Row } from './row.ts';
import { weightsOf } from './weights.ts';

export interface StepMeasured {
  readonly row: Row;
  /** Kernels by the seconds that they lose, most first. */
  readonly ops: readonly OpTime[];
  /** One more step, as a timeline. */
  readonly timeline: Timeline | undefined;
}

/** Instructions of one op within one step. */
export interface OpTime {
  readonly op: string;
  readonly count: number;
  readonly seconds: number;
  /** Of all instructions. */
  readonly share: number;
  /** Sum of the floors of its instructions. */
  readonly floor_s: number;
  /** Seconds beyond the floor. */
  readonly gap_s: number;
  readonly bound: Bound;
}

const SECONDS = 4;

/** Measures one step of a recipe. Drops are counted as work not done, as the peers do. */
export async function benchStep(executor: MachineExecutor, r: Recipe, seconds = SECONDS): Promise<StepMeasured> {
  const model = modelOf(r);
  const session = await openSession(model, r, executor);
  try {
    session.restore({ parameters: weightsOf(model) });
    return await measureStep(executor, { r, model, session, seconds });
  } finally {
    session.close();
  }
}

interface Bench {
  readonly r: Recipe;
  readonly model: Model;
  readonly session: Session;
  readonly seconds: number;
}

async function measureStep(executor: MachineExecutor, { r, model, session, seconds }: Bench): Promise<StepMeasured> {
  const rows = r.train.batch * r.train.accumulate;
  const tokens = rows * r.data.length;
  const batch = randomBatch(tokens, r.model.vocab);
  let [dropped, step] = [0, 0];
  const loop = watchLoop();
  const run = async (): Promise<void> => {
    if (step === 1) session.profile(); // forgets the warm-up
    const { layers } = await loop.during(() => session.step(batch, step++));
    dropped = layers.reduce((n, l) => n + l.kept.reduce((d, kept) => d + 1 - kept, 0), 0);
  };
  const measured = await measure(executor, run, { seconds, precision: r.precision });
  // A choice multiplies the 4·H·F weights of an expert: once forward, twice backward, two FLOPs each.
  const flops = trainingFlops(model, rows, r.data.length) - dropped * 6 * 4 * r.model.hidden * r.model.inner;
  const named = {
    name: `training step, ${r.name}`,
    shape: `${rows}×${r.data.length}`,
    dtype: r.precision,
    threads: executor.facts.threads,
  } as const;
  const like = Object.hasOwn(CONFIGS, r.name)
    ? { name: 'train_step', capacity: 'none', optimizer: r.optimizer.kind, ...peerFacts(r.name) }
    : undefined;
  const whole = row({ ...named, like }, measured, { flops, read: 0, written: 0 });
  const facts = { tok_per_s: tokens / measured.median_s, model_flops: flops, event_loop_p99_s: loop.p99() };
  const ops = byOp(session.profile(), {
    bf16: measured.limits,
    f32: r.precision === 'f32' ? measured.limits : limits(executor, { precision: 'f32' }),
  });
  session.record();
  await session.step(batch, step);
  return { row: { ...whole, ...facts }, ops, timeline: session.timeline() };
}

function randomBatch(tokens: number, vocab: number): Batch {
  const random = rng(1);
  const ids = (name: string): Int32Array => Int32Array.from({ length: tokens }, (_, n) => 1 + random.at(name).below(vocab - 1, n));
  return {
    tokens: ids('tokens'),
    targets: ids('targets'),
    segments: new Int32Array(tokens).fill(1),
    weights: new Float32Array(tokens).fill(1),
    domains: new Int32Array(tokens),
  };
}

/** Sums over the instructions of each op, with the limits of the moment for either kind of products and memory as the place of all operands. */
export function byOp(instructions: readonly Timed[], around: Readonly<Record<Timed['products'], Limits>>): readonly OpTime[] {
  const total = instructions.reduce((sum, { seconds }) => sum + seconds, 0);
  const ops = [...new Set(instructions.map(({ op }) => op))];
  return ops
    .map((op) => {
      const all = instructions.filter((one) => one.op === op);
      const floors = all.map((one) => floorOf(one, around[one.products]));
      const seconds = all.reduce((sum, one) => sum + one.seconds, 0);
      const floor_s = floors.reduce((sum, one) => sum + one.floor_s, 0);
      const computing = floors.filter(({ bound }) => bound === 'compute').length;
      const bound: Bound = 2 * computing >= all.length ? 'compute' : 'memory';
      return { op, count: all.length, seconds, share: seconds / total, floor_s, gap_s: seconds - floor_s, bound };
    })
    .toSorted((a, b) => b.gap_s - a.gap_s);
}
