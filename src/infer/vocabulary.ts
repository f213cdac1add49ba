/** Words that inference takes from the engine and the models. */
export {
  costOf,
  gradient,
  openExecutor,
  trace,
  type ArgumentSpec,
  type Buffer,
  type Buffers,
  type BufferSpec,
  type MachineExecutor,
  type Executor,
  type Loaded,
  type Program,
  type Timed,
  type Timeline,
} from '../exec/index.ts';
export * from '../models/index.ts';
