/** openmoe doctor: what this machine offers, which executor would compute, and what is missing. */
import { arch, cpus, freemem, release, totalmem, type } from 'node:os';
import { EXIT, formatBytes, UserError, inColumns } from '../../base/index.ts';
import { chooseExecutor, type MachineExecutor, openExecutor } from '../../exec/index.ts';
import { command } from '../command.ts';
import { chosenThreads, memoryLimit, type Threads, threadsFlag } from '../surroundings.ts';
import { packageVersion } from '../version.ts';

export const doctor = command({
  about: 'Says what this machine can do: threads, vector extensions, memory, and which executor will be used and why',
  examples: ['doctor', 'doctor --json', 'doctor --threads 1'],
  flags: { threads: threadsFlag },
  async run({ flags, terminal }) {
    const threads = chosenThreads(flags.threads, terminal.env);
    const { error, ...engine } = openEngine(threads);
    const data = { ...machine(), threads, ...engine, problems: error?.problems ?? [] };
    if (error) terminal.say(terminal.colors.err.red(error.message));
    return { schema: 'openmoe.doctor/1', data, text: text(data), exit: error?.exit ?? 0 };
  },
});

const machine = () => ({
  openmoe: packageVersion(),
  node: process.versions.node,
  system: `${type()} ${release()} ${arch()}`,
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memory: { total: totalmem(), limit: memoryLimit(), free: Math.min(freemem(), memoryLimit()) },
});

interface Engine {
  readonly executor: string | null;
  /** Instruction set used, and those that are here. */
  readonly isa?: string;
  readonly isas?: readonly string[];
  readonly bf16?: boolean;
  readonly vnni?: boolean;
  /** Measured now: GFLOP/s of f32 multiply-adds in registers, GB/s of memory reads and updates. */
  readonly peak?: { readonly gflops: number; readonly read: number; readonly update: number };
  readonly why: string;
  readonly error?: UserError;
}

const PROBE_SECONDS = 0.2;

function openEngine(threads: Threads): Engine {
  let executor: MachineExecutor;
  let chosen: string;
  try {
    chosen = chooseExecutor().why;
    executor = openExecutor({ threads: threads.count });
  } catch (error) {
    const known = error instanceof UserError ? error : broken(error);
    return { executor: null, why: known.problems[0]!.message, error: known };
  }
  try {
    const { isa, isas, bf16, vnni } = executor.facts;
    const peak = { gflops: executor.peak(PROBE_SECONDS), ...executor.bandwidth(PROBE_SECONDS) };
    const forced = process.env['OPENMOE_ISA'] ? 'OPENMOE_ISA asks for it' : 'the best instruction set that is both built and here';
    return { executor: executor.name, isa, isas, bf16, vnni, peak, why: `${chosen}; ${isa} is ${forced}` };
  } finally {
    executor.close();
  }
}

/** The addon is there and does not load: built by another compiler, for another machine, or cut short. */
const broken = (error: unknown): UserError =>
  new UserError('E_NO_ENGINE', EXIT.notFound, {
    message: `the native engine does not load: ${(error as Error).message}`,
    hint: 'build it again: npm run build',
  });

function text(d: ReturnType<typeof machine> & { threads: Threads } & Engine): string {
  const { memory, threads, peak } = d;
  return inColumns([
    ['openmoe', d.openmoe],
    ['node', d.node],
    ['system', d.system],
    ['processor', `${d.processor}, ${d.cores} cores`],
    ['memory', `${formatBytes(memory.limit)}, of which ${formatBytes(memory.free)} free`],
    ['threads', `${threads.count} (${threads.origin === 'default' ? 'all that this process may use' : threads.origin})`],
    ['executor', `${d.executor ?? 'none'}: ${d.why}`],
    ...(d.isas ? [['vectors', `${d.isas.join(', ')}; bf16 ${d.bf16 ? 'yes' : 'no'}, vnni ${d.vnni ? 'yes' : 'no'}`]] : []),
    ...(peak
      ? [
          [
            'peak',
            `${peak.gflops.toFixed(1)} GFLOP/s f32 · memory ${peak.read.toFixed(1)} GB/s read, ${peak.update.toFixed(1)} GB/s update`,
          ],
        ]
      : []),
  ]);
}
