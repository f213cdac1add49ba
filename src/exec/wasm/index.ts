/** The wasm executor: the machine as a WebAssembly module whose threads are workers on one shared memory. */
import { type MachineExecutor, machineExecutor } from '../machine/index.ts';
import { WasmHost } from './host.ts';
import { compiled, wasmFacts } from './module.ts';
import { allThreads } from './threads.node.ts';

export { wasmIsas } from './module.ts';

/** Throws UserError E_NO_ENGINE or E_ISA (exit 3), E_MEMORY (exit 5). */
export function openWasm({ threads = allThreads() }: { threads?: number } = {}): MachineExecutor {
  const facts = wasmFacts(threads);
  return machineExecutor('wasm', facts, new WasmHost(compiled(facts.isa), threads));
}
