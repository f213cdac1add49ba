/** What the cpu and the wasm executor share: they fuse, plan memory, and let the C++ machine run programs on its own threads. */
import { EXIT, invariant, UserError } from '../../base/index.ts';
import { bytesOf, checkProgram, fuse, lower, opNamed, opNames, plan, type Program, sizeOf } from '../../compile/index.ts';
import type { Buffer, Buffers, BufferSpec, Executor, Loaded, Span, Timed, Timeline } from '../contract.ts';
import { type Executed, executed } from '../executed.ts';
import { MachineBuffer } from './buffer.ts';
import { encode } from './encode.ts';
import type { EngineFacts, Host, Region, Resident } from './host.ts';

// The first import of this file's neighbours has declared every op.
const VIEWS = new Set(opNames().filter((op) => opNamed(op)!.definition.view));

export interface MachineExecutor extends Executor {
  readonly facts: EngineFacts;
  load(program: Program): Promise<MachineLoaded>;
  /**
   * A buffer that is a part of a file, from byte `begin` on: nothing is copied where the system can map files, and what is written to it
   * never reaches the file, which must not shrink meanwhile. Throws UserError E_MAP (damaged) when the file is too short.
   */
  map(path: string, begin: number, spec: BufferSpec): Buffer;
  /** GFLOP/s of multiply-adds in registers on all threads, now: of f32, or of bf16 with f32 sums (f32 where the processor lacks them). */
  peak(seconds: number, dtype?: 'f32' | 'bf16'): number;
  /** GB/s of reads and of updates in place, now: over so many bytes, of memory where left out. */
  bandwidth(seconds: number, bytes?: number): { read: number; update: number };
}
export interface MachineLoaded extends Loaded {
  profile(): readonly Timed[];
  record(): void;
  timeline(): Timeline;
}

/** More than the caches of such a machine hold. */
const BEYOND_CACHES = 128 * 2 ** 20;

export function machineExecutor(name: string, facts: EngineFacts, host: Host): MachineExecutor {
  const kernels = new Set(host.kernels);
  const known = (op: string): boolean => kernels.has(op) || kernels.has(`${op}.f32`) || kernels.has(`${op}.i32`) || VIEWS.has(op);
  const allocate = (spec: BufferSpec): MachineBuffer =>
    new MachineBuffer(
      spec,
      memory(host, { bytes: bytesOf(spec), what: `an array of ${spec.shape.join('×')}` }, () => host.alloc(bytesOf(spec))),
    );
  // One program runs at a time: they share the threads.
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = queue.then(work);
    queue = mine.catch(() => {});
    return mine;
  };
  return {
    name,
    facts,
    load: async (program) => loadProgram(program, { threads: facts.threads, host, known, inTurn }),
    put(data, spec) {
      const buffer = allocate(spec);
      buffer.write(data);
      return buffer;
    },
    zeros: allocate,
    map: (path, begin, spec) => {
      const bytes = bytesOf(spec);
      return new MachineBuffer(
        spec,
        memory(host, { bytes, what: `${bytes} bytes of ${path}` }, () => host.map(path, begin, bytes)),
      );
    },
    write: (buffer, data) => (buffer as MachineBuffer).write(data),
    get: (buffer) => (buffer as MachineBuffer).read(),
    peak: (seconds, dtype = 'f32') => host.peak(seconds, dtype),
    bandwidth: (seconds, bytes = BEYOND_CACHES) => host.bandwidth(seconds, Math.min(bytes, BEYOND_CACHES)),
    close: () => host.close(),
  };
}

/** From four numbers a span, nanoseconds of a clock, in the order in which they ended. */
function spansOf(numbers: Float64Array): readonly Span[] {
  const spans = Array.from({ length: numbers.length / 4 }, (_, n) => numbers.subarray(4 * n, 4 * n + 4));
  const start = spans.reduce((least, s) => Math.min(least, s[2]!), Infinity);
  return spans.map((s) => ({ thread: s[0]!, instruction: s[1]!, begin_s: (s[2]! - start) / 1e9, end_s: (s[3]! - start) / 1e9 }));
}

/** Programs that take less run on the calling thread: to hand one over and hear of its end takes up to 0.25 ms. */
const SHORT_MS = 10;
/** But the event loop gets its turn this often. */
const TURN_MS = 8;

const turns = {
  last: 0,
  async take(): Promise<void> {
    if (performance.now() - this.last < TURN_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.last = performance.now();
  },
};

interface Shared {
  readonly threads: number;
  readonly host: Host;
  readonly known: (op: string) => boolean;
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

function loadProgram(program: Program, { threads, host, known, inTurn }: Shared): MachineLoaded {
  checkProgram(program);
  const fused = fuse(lower(program, known));
  const planned = plan(fused);
  const bytes = Math.max(planned.bytes, ...fused.arguments.map(bytesOf));
  const { words, names } = encode(fused, planned);
  const resident = memory(host, { bytes, what: `program ${program.name}, ${planned.bytes} bytes` }, () => host.load(words, names));
  const life = { closed: false };
  const fresh = fused.results.filter((r) => r.updates === undefined);
  const specs = new Map<string, BufferSpec>(
    [...fused.arguments, ...fused.code.flatMap((i) => i.out.flatMap((v) => v ?? []))].map((v) => [v.id, v]),
  );
  // A result that is an argument under another shape lives in that argument's memory, which comes with each run.
  const resultOf = (id: string, inputs: Buffers): MachineBuffer => {
    const [place, spec] = [planned.places.get(id)!, specs.get(id)!];
    if ('argument' in place) return new MachineBuffer(spec, (inputs[fused.arguments[place.argument]!.name] as MachineBuffer).region);
    const { buffer, offset } = resident.arena;
    return new MachineBuffer(spec, { buffer, offset: offset + place.offset }, life);
  };
  const bind = (inputs: Buffers) => {
    const regions = fused.arguments.map((a) => bound(inputs, a.name, a));
    const updated = fused.results.flatMap((r) => (r.updates === undefined ? [] : [[r.name, inputs[r.updates]!] as const]));
    const read = fresh.map((r) => [r.name, resultOf(r.value, inputs)] as const);
    return { inputs, regions, results: Object.fromEntries([...read, ...updated]) as Buffers };
  };
  // The inputs of the last run and what follows from them; the shortest run so far.
  let last: ReturnType<typeof bind> | undefined;
  let shortest = Infinity;
  return {
    arguments: fused.arguments,
    memory: planned.bytes + resident.scratch,
    async run(inputs, signal) {
      signal?.throwIfAborted();
      invariant(!life.closed, `program ${program.name} is closed`);
      if (last?.inputs !== inputs) last = bind(inputs);
      const { regions, results } = last;
      await inTurn(async () => {
        signal?.throwIfAborted();
        invariant(!life.closed, `program ${program.name} is closed`);
        const from = performance.now();
        if (shortest < SHORT_MS) {
          await turns.take();
          invariant(!life.closed, `program ${program.name} is closed`);
          resident.runNow(regions);
        } else await handOver(resident, regions, signal);
        shortest = Math.min(shortest, performance.now() - from);
      });
      invariant(!life.closed, `program ${program.name} was closed while it ran`);
      return results;
    },
    ...measurements(resident, executed(fused), threads),
    close() {
      if (life.closed) return;
      life.closed = true;
      last = undefined;
      resident.close();
    },
  };
}

/** Runs off the calling thread; an abort stops it between two instructions. */
async function handOver(resident: Resident, regions: readonly Region[], signal: AbortSignal | undefined): Promise<void> {
  const cancel = (): void => resident.cancel();
  const running = resident.run(regions);
  signal?.addEventListener('abort', cancel);
  const finished = await running;
  signal?.removeEventListener('abort', cancel);
  if (!finished) signal?.throwIfAborted();
}

/** What can be asked about runs that were. */
function measurements(
  resident: Resident,
  steps: readonly Executed[],
  threads: number,
): Pick<MachineLoaded, 'profile' | 'record' | 'timeline'> {
  let asked: Float64Array | undefined;
  return {
    profile() {
      const now = resident.profile();
      const since = now.map((x, n) => x - (asked?.[n] ?? 0));
      asked = now;
      return steps.map((step, n) => ({ ...step, seconds: since[n + 1]! / 1e9 / Math.max(1, since[0]!) }));
    },
    record: () => resident.record(),
    timeline: () => ({ threads, instructions: steps, spans: spansOf(resident.timeline()) }),
  };
}

function bound(inputs: Buffers, name: string, spec: BufferSpec): Region {
  const buffer = inputs[name];
  invariant(buffer instanceof MachineBuffer, `run: argument ${name} is missing or not of this executor`);
  invariant(
    buffer.dtype === spec.dtype && sizeOf(buffer.shape) === sizeOf(spec.shape),
    `run: argument ${name} is ${buffer.dtype}[${buffer.shape}], expected ${spec.dtype}[${spec.shape}]`,
  );
  return buffer.region;
}

/** Runs what allocates; out of memory becomes a UserError (exit 5). */
function memory<T>(host: Host, { bytes, what }: { readonly bytes: number; readonly what: string }, allocate: () => T): T {
  const refuse = (): UserError =>
    new UserError('E_MEMORY', EXIT.doesNotFit, {
      message: `no memory for ${what}`,
      hint: `use a smaller batch, length or model${host.addressable < 2 ** 33 ? '; WebAssembly has 4 GiB at most: a C++ compiler and npm run build lift that' : ''}`,
    });
  if (bytes > host.addressable) throw refuse();
  try {
    return allocate();
  } catch (error) {
    throw (error as { code?: string }).code === 'E_MEMORY' ? refuse() : error;
  }
}
