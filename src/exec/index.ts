/** exec: programs → numbers. Must not know gradients, models or training. */
export * from '../compile/index.ts';
export type { Buffer, Buffers, BufferSpec, Executor, Loaded, Span, Timed, Timeline, Numbers } from './contract.ts';
export { openRef } from './ref/index.ts';
export { chooseExecutor, openExecutor } from './choose.ts';
export { cpuIsas, loadAddon, openCpu } from './cpu/index.ts';
export type { MachineExecutor } from './machine/index.ts';
export { openWasm, wasmIsas } from './wasm/index.ts';
