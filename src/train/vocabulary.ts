/** Words that training takes from the engine and the models. */
export {
  gradient,
  trace,
  type ArgumentSpec,
  type Buffer,
  type Buffers,
  type Executor,
  type Loaded,
  type Program,
  type Timed,
  type Timeline,
} from '../exec/index.ts';
export * from '../models/index.ts';
