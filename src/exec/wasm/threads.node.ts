/** The module's file, and its threads as Node's workers. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';

// From src/exec/wasm and from dist/src/exec/wasm.
const ROOTS = ['../../../', '../../../../'].map((up) => new URL(up, import.meta.url));
const found = (path: string): string | undefined => ROOTS.map((root) => fileURLToPath(new URL(path, root))).find((p) => existsSync(p));

/** The module with these instructions, undefined when it was not built. OPENMOE_BUILD names another folder, as for the addon. */
export function moduleFile(isa: string): Uint8Array<ArrayBuffer> | undefined {
  const file = found(`${process.env['OPENMOE_BUILD'] ?? 'build'}/openmoe-${isa}.wasm`);
  return file === undefined ? undefined : new Uint8Array(readFileSync(file));
}

/** Has V8 compile relaxed vector instructions: Node 20 knows them, and compiles them only when asked to. */
export const allowRelaxed = (): void => setFlagsFromString('--experimental-wasm-relaxed-simd');

/** As many threads as this process may use. */
export const allThreads = availableParallelism;

export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Where its stack begins in that memory, growing down. */
  readonly stack: number;
  readonly pool: number;
  readonly worker: number;
  /** Where the clock begins, as performance.timeOrigin. */
  readonly origin: number;
}

/** A thread that does not keep the process alive. */
export function startThread(start: ThreadStart): Worker {
  const worker = new Worker(found('native/wasm-worker.mjs')!, { workerData: start, execArgv: [] });
  worker.unref();
  return worker;
}
