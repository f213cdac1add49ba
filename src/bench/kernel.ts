/** One kernel at a time: a small program over made-up operands. */
import { rng } from '../base/index.ts';
import { type ArgumentSpec, costOf, type MachineExecutor, type Program, sizeOf, type Tensor, trace } from '../infer/index.ts';
import { measure, type Precision } from './measure.ts';
import { type Likeness, row, type Row, type Work } from './row.ts';
import { repeated } from './weights.ts';

type Args = Readonly<Record<string, Tensor>>;

export interface Kernel {
  readonly name: string;
  readonly shape: string;
  readonly dtype: Precision;
  readonly specs: Readonly<Record<string, ArgumentSpec>>;
  build(args: Args): Readonly<Record<string, Tensor>>;
  /** Result → argument that it overwrites. */
  readonly updates?: Readonly<Record<string, string>>;
  /** Values of operands that are not random. */
  readonly values?: Readonly<Record<string, readonly number[]>>;
  /** Where operands once and results once are not what it must do. */
  readonly work?: Partial<Work>;
  /** Lines of peers about the same work. */
  readonly like?: Likeness;
  /** The dense kernel of equal active FLOPs; its name. */
  readonly twin?: string;
}

/** What training multiplies in. */
export type Products = Extract<Precision, 'f32' | 'bf16'>;

export const f = (...shape: number[]): ArgumentSpec => ({ shape });
/** An operand of products. */
export const operandIn =
  (dtype: Products) =>
  (...shape: number[]): ArgumentSpec => ({ shape, dtype });
export const i = (...shape: number[]): ArgumentSpec => ({ shape, dtype: 'i32' });

const SECONDS = 0.3;

/** Measures them in turn. */
export async function* measureKernels(executor: MachineExecutor, kernels: readonly Kernel[], seconds = SECONDS): AsyncGenerator<Row> {
  const medians = new Map<string, number>();
  for (const kernel of kernels) {
    const measured = await measureKernel(executor, kernel, seconds);
    medians.set(kernel.name, measured.median_s);
    const dense = kernel.twin === undefined ? undefined : medians.get(kernel.twin);
    yield dense === undefined ? measured : { ...measured, to_dense: measured.median_s / dense };
  }
}

async function measureKernel(executor: MachineExecutor, kernel: Kernel, seconds: number): Promise<Row> {
  const { name, shape, dtype, like } = kernel;
  const program = trace(name, kernel.specs, (args) => ({
    results: kernel.build(args),
    ...(kernel.updates && { updates: kernel.updates }),
  }));
  const work: Work = { ...costOf(program), ...kernel.work };
  const loaded = await executor.load(program);
  try {
    const inputs = Object.fromEntries(program.arguments.map((a) => [a.name, executor.put(operand(a, kernel), a)]));
    // Time in the machine: the call from JavaScript takes as long as the smallest kernels.
    const run = async (): Promise<number> => {
      await loaded.run(inputs);
      return loaded.profile().reduce((sum, one) => sum + one.seconds, 0);
    };
    const measured = await measure(executor, run, { seconds, precision: dtype, bytes: work.read + work.written });
    return row({ name, shape, dtype, threads: executor.facts.threads, like }, measured, work);
  } finally {
    loaded.close();
  }
}

/** So many numbers are made and then repeated: a prime, so that no two rows of a matrix begin alike. */
const PERIOD = 65_521;
/** Ids below this are rows of every table here. */
const IDS = 4000;

function operand({ name, shape, dtype }: Program['arguments'][number], { values }: Kernel): Float32Array | Int32Array {
  const random = rng(1).at(name);
  const size = sizeOf(shape);
  const given = values?.[name];
  if (given) return repeated(dtype === 'i32' ? Int32Array.from(given) : Float32Array.from(given), size);
  const length = Math.min(size, PERIOD);
  return dtype === 'i32'
    ? repeated(
        Int32Array.from({ length }, (_, n) => random.below(IDS, n)),
        size,
      )
    : repeated(
        Float32Array.from({ length }, (_, n) => random.uniform(n) - 0.5),
        size,
      );
}
