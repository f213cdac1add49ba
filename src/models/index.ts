/** models: one file per family. Must not know tokenizers or training. */
export * from '../nn/index.ts';
export { logitMask, type DecoderConfig, type DecoderInput, type DecoderOutput } from './decoder.ts';
export { dense, denseTwin } from './dense.ts';
export type { ForeignName, Model } from './model.ts';
export { losses, smoothedCrossEntropy, type BatchTensors, type LossConfig, type Losses } from './loss.ts';
export { openmoe, OPENMOE_DEFAULTS } from './openmoe.ts';

import { dense, denseTwin } from './dense.ts';
import type { DecoderConfig } from './decoder.ts';
import type { Model } from './model.ts';
import { openmoe } from './openmoe.ts';

export const FAMILIES = { openmoe, dense, 'dense-twin': denseTwin } as const satisfies Record<string, (c: DecoderConfig) => Model>;
export type Family = keyof typeof FAMILIES;
export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly Family[];
