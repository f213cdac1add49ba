/** compile: graph → flat program, and the passes that executors call at load. Must not know any op by name, nor any device. */
export * from '../ops/index.ts';
export { checkProgram } from './check.ts';
export { costOf, costsOf, type Cost } from './costs.ts';
export { readProgram, writeProgram } from './file.ts';
export { fuse } from './fuse.ts';
export { gradient } from './gradient.ts';
export { plan, type Place, type Plan } from './plan.ts';
export { print } from './print.ts';
export type { Argument, FusedInstruction, FusedStep, Instruction, Program, Result, Value } from './program.ts';
export { lower } from './lower.ts';
export { trace, type ArgumentSpec, type Traced } from './trace.ts';
