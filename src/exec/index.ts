/** exec: programs → numbers. Must not know gradients, models or training. */
export * from '../compile/index.ts';
export type { Buffer, Buffers, BufferSpec, Executor, Loaded, Span, Timed, Timeline, Numbers } from './contract.ts';
export { openRef } from './ref/index.ts';
export { loadAddon, openCpu, type CpuExecutor, type CpuFacts, type CpuLoaded } from './cpu/index.ts';
