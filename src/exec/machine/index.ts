/** exec/machine: the C++ machine as an executor, wherever it lives. Must not know addons or WebAssembly. */
export { type MachineExecutor, type MachineLoaded, machineExecutor } from './executor.ts';
export type { EngineFacts, Host, Region, Resident } from './host.ts';
export { readPart } from './file.node.ts';
export { numbersIn } from './buffer.ts';
