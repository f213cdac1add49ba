/** train: optimizers, schedules, state and the loop. Must not know terminals, HTTP or evaluation tasks. */
export type { LayerNews, TrainEvent } from './events.ts';
export { trainingFlops } from './flops.ts';
export { permanentSteps, train, type TrainNeeds } from './loop.ts';
export { readTrained } from './checkpoint.ts';
export { draw, initialValues } from './initial.ts';
export { checkRecipe, keysAt, override, recipe, type Recipe, type RecipeInput } from './recipe.ts';
export { openSession, type Session } from './session.ts';
export { fixSteps, modelOf, prepare, sourceOf, trainTokenizer, type Prepared, type PrepareEvent } from './prepare.ts';
export { validationRows } from './validation.ts';
export { adafactor } from './optimizers/adafactor.ts';
export type { Optimizer, ParamInfo } from './optimizers/optimizer.ts';
export { learningRate } from './schedule.ts';
export { slotName, stepProgram, type StepConfig } from './step.ts';
