/** bench: what this machine can do and what share of it we reach. Must not know the terminal. */
export { benchKernels } from './kernels.ts';
export type { Row } from './measure.ts';
export { benchStep, CONFIGS, peerRecipe, type StepConfigName, type StepProfile } from './step.ts';
