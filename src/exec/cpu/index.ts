/** The cpu executor: fuses, plans memory, and lets the C++ machine run programs on its own threads. */
import { bf16FromF32, EXIT, f32FromBf16, invariant, UserError } from '../../base/index.ts';
import { bytesOf, checkProgram, type DType, fuse, lower, opNamed, opNames, plan, type Program, sizeOf } from '../../compile/index.ts';
import type { Buffer, Buffers, BufferSpec, Executor, Loaded, Numbers, Span, Timed, Timeline } from '../contract.ts';
import { type Addon, type CpuFacts, cpuFacts, type Engine, loadAddon } from './addon.ts';
import { executed } from '../executed.ts';
import { encode } from './encode.ts';

export { type CpuFacts, loadAddon } from './addon.ts';

// The first import of this file's neighbours has declared every op.
const VIEWS = new Set(opNames().filter((op) => opNamed(op)!.definition.view));

const ARRAYS = { f32: Float32Array, i32: Int32Array, bf16: Uint16Array, i8: Int8Array } as const satisfies Record<DType, unknown>;

/** More than the caches of such a machine hold. */
const BEYOND_CACHES = 128 * 2 ** 20;

class CpuBuffer implements Buffer {
  readonly dtype: BufferSpec['dtype'];
  readonly shape: BufferSpec['shape'];
  readonly data: Numbers | Uint16Array;

  constructor({ dtype, shape }: BufferSpec, memory: ArrayBuffer, offset = 0) {
    [this.dtype, this.shape] = [dtype, shape];
    this.data = new ARRAYS[dtype](memory, offset, sizeOf(shape));
  }

  write(numbers: Numbers): void {
    this.data.set(this.dtype === 'bf16' && numbers instanceof Float32Array ? bf16FromF32(numbers) : numbers);
  }

  read(): Numbers {
    return this.data instanceof Uint16Array ? f32FromBf16(this.data) : this.data.slice();
  }

  get bytes(): number {
    return this.data.byteLength;
  }
}

export interface CpuExecutor extends Executor {
  readonly facts: CpuFacts;
  load(program: Program): Promise<CpuLoaded>;
  /** GFLOP/s of multiply-adds in registers on all threads, now: of f32, or of bf16 with f32 sums (f32 where the processor lacks them). */
  peak(seconds: number, dtype?: 'f32' | 'bf16'): number;
  /** GB/s of reads and of updates in place, now: over so many bytes, of memory where left out. */
  bandwidth(seconds: number, bytes?: number): { read: number; update: number };
}
export interface CpuLoaded extends Loaded {
  profile(): readonly Timed[];
  record(): void;
  timeline(): Timeline;
}

/** Throws UserError E_NO_ENGINE or E_ISA (exit 3). */
export function openCpu({ threads }: { threads?: number } = {}): CpuExecutor {
  const addon = loadAddon();
  const facts = cpuFacts(addon, threads);
  const engine = addon.open(facts.threads, facts.isa);
  const kernels = new Set(addon.kernels(facts.isa));
  const known = (op: string): boolean => kernels.has(op) || kernels.has(`${op}.f32`) || kernels.has(`${op}.i32`) || VIEWS.has(op);
  const allocate = (spec: BufferSpec): CpuBuffer =>
    new CpuBuffer(
      spec,
      memory(() => addon.alloc(bytesOf(spec)), `an array of ${spec.shape.join('×')}`),
    );
  // One program runs at a time: they share the threads.
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = queue.then(work);
    queue = mine.catch(() => {});
    return mine;
  };
  return {
    name: 'cpu',
    facts,
    load: async (program) => loadProgram(program, { threads: facts.threads, addon, engine, known, inTurn }),
    put(data, spec) {
      const buffer = allocate(spec);
      buffer.write(data);
      return buffer;
    },
    zeros: allocate,
    write: (buffer, data) => (buffer as CpuBuffer).write(data),
    get(buffer) {
      invariant((buffer as CpuBuffer).data.length === sizeOf(buffer.shape), 'a result was read after its program was closed');
      return (buffer as CpuBuffer).read();
    },
    peak: (seconds, dtype = 'f32') => addon.probe(engine, dtype === 'bf16' ? 'peakBf16' : 'peak', seconds, 0),
    bandwidth: (seconds, bytes = BEYOND_CACHES) => addon.probe(engine, 'bandwidth', seconds, Math.min(bytes, BEYOND_CACHES)),
    close: () => addon.shut(engine),
  };
}

/** From four numbers a span, nanoseconds of a clock, in the order in which they ended. */
function spansOf(numbers: Float64Array): readonly Span[] {
  const spans = Array.from({ length: numbers.length / 4 }, (_, n) => numbers.subarray(4 * n, 4 * n + 4));
  const start = spans.reduce((least, s) => Math.min(least, s[2]!), Infinity);
  return spans.map((s) => ({ thread: s[0]!, instruction: s[1]!, begin_s: (s[2]! - start) / 1e9, end_s: (s[3]! - start) / 1e9 }));
}

/** Programs that take less run on the calling thread: to hand one over and hear of its end takes up to 0.25 ms. */
const SHORT_MS = 4;
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
  readonly addon: Addon;
  readonly engine: Engine;
  readonly known: (op: string) => boolean;
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

function loadProgram(program: Program, { threads, addon, engine, known, inTurn }: Shared): CpuLoaded {
  checkProgram(program);
  const fused = fuse(lower(program, known));
  const planned = plan(fused);
  const { words, names } = encode(fused, planned);
  const { handle, arena, scratch } = memory(() => addon.load(engine, words, names), `program ${program.name}, ${planned.bytes} bytes`);
  const steps = executed(fused);
  let asked: Float64Array | undefined;
  const fresh = fused.results.filter((r) => r.updates === undefined);
  const specs = new Map<string, BufferSpec>(
    [...fused.arguments, ...fused.code.flatMap((i) => i.out.flatMap((v) => v ?? []))].map((v) => [v.id, v]),
  );
  // A result that is an argument under another shape lives in that argument's memory, which comes with each run.
  const resultOf = (id: string, inputs: Buffers): CpuBuffer => {
    const place = planned.places.get(id)!;
    if ('offset' in place) return new CpuBuffer(specs.get(id)!, arena, place.offset);
    return new CpuBuffer(specs.get(id)!, (inputs[fused.arguments[place.argument]!.name] as CpuBuffer).data.buffer as ArrayBuffer);
  };
  const bind = (inputs: Buffers) => {
    const buffers = fused.arguments.map((a) => bound(inputs, a.name, a).data.buffer as ArrayBuffer);
    const updated = fused.results.flatMap((r) => (r.updates === undefined ? [] : [[r.name, inputs[r.updates]!] as const]));
    const read = fresh.map((r) => [r.name, resultOf(r.value, inputs)] as const);
    return { inputs, buffers, results: Object.fromEntries([...read, ...updated]) as Buffers };
  };
  const handOver = async (buffers: readonly ArrayBuffer[], signal: AbortSignal | undefined): Promise<void> => {
    const cancel = (): void => addon.cancel(handle);
    const running = addon.run(engine, handle, buffers);
    signal?.addEventListener('abort', cancel);
    const finished = await running;
    signal?.removeEventListener('abort', cancel);
    if (!finished) signal?.throwIfAborted();
  };
  // The inputs of the last run and what follows from them; the shortest run so far.
  let last: ReturnType<typeof bind> | undefined;
  let shortest = Infinity;
  return {
    arguments: fused.arguments,
    memory: planned.bytes + scratch,
    async run(inputs, signal) {
      signal?.throwIfAborted();
      if (last?.inputs !== inputs) last = bind(inputs);
      const { buffers, results } = last;
      await inTurn(async () => {
        signal?.throwIfAborted();
        const from = performance.now();
        if (shortest < SHORT_MS) {
          await turns.take();
          addon.runNow(engine, handle, buffers);
        } else await handOver(buffers, signal);
        shortest = Math.min(shortest, performance.now() - from);
      });
      invariant(arena.byteLength === planned.bytes, `program ${program.name} was closed while it ran`);
      return results;
    },
    profile() {
      const now = addon.profile(handle);
      const since = now.map((x, n) => x - (asked?.[n] ?? 0));
      asked = now;
      return steps.map((step, n) => ({ ...step, seconds: since[n + 1]! / 1e9 / Math.max(1, since[0]!) }));
    },
    record: () => addon.record(handle),
    timeline: () => ({ threads, instructions: steps, spans: spansOf(addon.timeline(handle)) }),
    close() {
      last = undefined;
      addon.close(handle);
    },
  };
}

function bound(inputs: Buffers, name: string, spec: BufferSpec): CpuBuffer {
  const buffer = inputs[name];
  invariant(buffer instanceof CpuBuffer, `run: argument ${name} is missing or not of this executor`);
  invariant(
    buffer.dtype === spec.dtype && buffer.data.length === sizeOf(spec.shape),
    `run: argument ${name} is ${buffer.dtype}[${buffer.shape}], expected ${spec.dtype}[${spec.shape}]`,
  );
  return buffer;
}

/** Runs what allocates; out of memory becomes a UserError (exit 5). */
function memory<T>(allocate: () => T, what: string): T {
  try {
    return allocate();
  } catch (error) {
    if ((error as { code?: string }).code !== 'E_MEMORY') throw error;
    throw new UserError('E_MEMORY', EXIT.doesNotFit, { message: `no memory for ${what}`, hint: 'use a smaller batch, length or model' });
  }
}
