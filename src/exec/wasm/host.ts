/** The module, its memory and its threads. JavaScript's thread allocates and loads; worker 0 runs programs, the others join it. */
import { EXIT, invariant, UserError } from '../../base/index.ts';
import { type Host, readPart, type Region, type Resident } from '../machine/index.ts';
import type { Exports } from './module.ts';
import { startThread } from './threads.node.ts';

const PAGE = 65_536;
/** As native/build-wasm.mjs declares it. */
const FIRST_PAGES = 64;
/** One less than 4 GiB: the end of the last page would be address 0. */
const MOST_PAGES = 65_535;
/** The C library takes sizes from 2 GiB up for negative ones. */
const MOST_BYTES = 2 ** 31 - 2 * PAGE;
const STACK = 1 << 20;
/** Kernels may read whole vectors at the end of an array. */
const BEYOND = 64;

/** A run on its way. It holds its arguments' memory, which must not be collected meanwhile. */
interface Running {
  readonly regions: readonly Region[];
  readonly ended: (finished: boolean) => void;
  readonly failed: (error: Error) => void;
}

export class WasmHost implements Host {
  readonly kernels: readonly string[];
  readonly addressable = MOST_BYTES;
  private readonly memory = sharedMemory();
  private readonly exports: Exports;
  private readonly pool: number;
  private readonly threads: readonly ReturnType<typeof startThread>[];
  private running: Running | undefined;
  /** What a thread died of: then nothing runs any more. */
  private broken: Error | undefined;
  // JavaScript's collector does not see this memory: what nobody holds any more is given back by hand.
  private readonly unheld = new FinalizationRegistry<number>((place) => this.exports.release(place));

  constructor(module: WebAssembly.Module, threads: number) {
    const { memory } = this;
    this.exports = new WebAssembly.Instance(module, { env: { memory }, openmoe: { now: () => 1e6 * performance.now() } })
      .exports as unknown as Exports;
    this.exports._initialize();
    this.kernels = this.text(this.exports.kernels()).trimEnd().split('\n');
    this.pool = this.exports.pool(threads);
    this.threads = Array.from({ length: threads }, (_, worker) =>
      startThread({ origin: performance.timeOrigin, module, memory, stack: this.place(STACK) + STACK, pool: this.pool, worker }),
    );
    for (const thread of this.threads)
      thread.on('error', (error) => {
        this.broken = error;
        this.end((run) => run.failed(error));
      });
    this.threads[0]!.on('message', (finished: boolean) => this.end((run) => run.ended(finished)));
  }

  alloc(bytes: number): Region {
    const region: Region = { offset: this.place(bytes + BEYOND), buffer: this.memory.buffer };
    this.unheld.register(region, region.offset);
    return region;
  }

  /** A copy: WebAssembly has no memory but its own. */
  map(path: string, begin: number, bytes: number): Region {
    const region = this.alloc(bytes);
    readPart(path, begin, new Uint8Array(region.buffer, region.offset, bytes));
    return region;
  }

  load(words: Float64Array, names: readonly string[]): Resident {
    const machine = this.loaded(words, new TextEncoder().encode(names.map((n) => `${n}\n`).join('') + '\0'));
    const places = this.place(4 * words[2]!); // of the arguments
    return {
      arena: { offset: this.exports.arena(machine) >>> 0, buffer: this.memory.buffer },
      scratch: this.exports.scratch_bytes(machine) >>> 0,
      run: (regions) => this.run(machine, places, regions),
      runNow: (regions) => {
        this.placeArguments(machine, places, regions);
        this.exports.run(machine, places, this.pool);
      },
      cancel: () => this.exports.cancel(machine),
      profile: () => Float64Array.of(this.exports.runs(machine), ...this.numbers(this.exports.spent(machine), words[4]!)),
      record: () => this.exports.record(machine),
      timeline: () => this.numbers(this.exports.spans(machine), 4 * this.exports.span_count(machine)).slice(),
      close: () =>
        this.afterRun(() => {
          this.exports.unload(machine);
          this.exports.release(places);
        }),
    };
  }

  peak(seconds: number): number {
    this.invariantIdle();
    return this.exports.peak(this.pool, seconds);
  }

  bandwidth(seconds: number, bytes: number): { read: number; update: number } {
    this.invariantIdle();
    const out = this.place(16);
    this.exports.bandwidth(this.pool, bytes, seconds, out);
    const [read = 0, update = 0] = this.numbers(out, 2);
    this.exports.release(out);
    return { read, update };
  }

  /** Its threads end. */
  close(): void {
    this.invariantIdle();
    this.exports.stop(this.pool);
    this.threads[0]!.postMessage(undefined);
  }

  private run(machine: number, places: number, regions: readonly Region[]): Promise<boolean> {
    this.placeArguments(machine, places, regions);
    return new Promise((ended, failed) => {
      this.running = { regions, ended, failed };
      this.threads[0]!.ref();
      this.threads[0]!.postMessage({ machine, arguments: places });
    });
  }

  /** Readies the machine for a run with those arguments. */
  private placeArguments(machine: number, places: number, regions: readonly Region[]): void {
    this.invariantIdle();
    if (this.broken) throw this.broken;
    new Uint32Array(this.memory.buffer, places, regions.length).set(regions.map((r) => r.offset));
    this.exports.ready(machine);
  }

  private end(tell: (run: Running) => void): void {
    const { running } = this;
    this.running = undefined;
    this.threads[0]!.unref();
    if (running) tell(running);
  }

  /** Now, or when the run on its way ends. */
  private afterRun(work: () => void): void {
    if (!this.running) return work();
    const { running } = this;
    this.running = { ...running, ended: (finished) => (work(), running.ended(finished)) };
  }

  private invariantIdle(): void {
    invariant(!this.running, 'a program is running');
  }

  private place(bytes: number): number {
    const place = bytes <= MOST_BYTES ? this.exports.alloc(bytes) >>> 0 : 0;
    if (place === 0) throw Object.assign(new Error('out of memory'), { code: 'E_MEMORY' });
    return place;
  }

  private loaded(words: Float64Array, names: Uint8Array): number {
    const [wordsAt, namesAt] = [this.place(words.byteLength), this.place(names.byteLength)];
    this.numbers(wordsAt, words.length).set(words);
    new Uint8Array(this.memory.buffer, namesAt, names.length).set(names);
    const machine = this.exports.load(wordsAt, words.length, namesAt, this.threads.length);
    for (const place of [wordsAt, namesAt]) this.exports.release(place);
    if (machine !== 0) return machine;
    const message = this.text(this.exports.refusal());
    throw Object.assign(new Error(message), { code: message === 'out of memory' ? 'E_MEMORY' : 'E_PROGRAM' });
  }

  private numbers(place: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, place >>> 0, count);
  }

  private text(place: number): string {
    const bytes = new Uint8Array(this.memory.buffer, place >>> 0);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }
}

function sharedMemory(): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
  } catch (error) {
    throw new UserError('E_MEMORY', EXIT.doesNotFit, {
      message: `no address space for WebAssembly: ${(error as Error).message}`,
      hint: 'raise the limit on virtual memory (ulimit -v)',
    });
  }
}
