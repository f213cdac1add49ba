/** Words that parity takes from the engine, the models and training. */
export { gradient, trace, type ArgumentSpec, type Buffer, type Buffers, type Executor, type Loaded, type Program } from '../exec/index.ts';
export * from '../models/index.ts';
export {
  adafactor,
  initialValues,
  learningRate,
  type Optimizer,
  type ParamInfo,
  slotName,
  stepProgram,
  type StepConfig,
} from '../train/index.ts';
