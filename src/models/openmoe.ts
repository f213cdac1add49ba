/** OpenMoE (arXiv 2402.01739): every few layers a router and experts, with an extra feed-forward behind them. */
import type { DecoderConfig } from './decoder.ts';
import { family } from './family.ts';
import type { Model } from './model.ts';

/** What all published sizes share (reference 1.2, 2.6, 4.1). */
export const OPENMOE_DEFAULTS = {
  topK: 2,
  dialect: 'jax',
  groupSize: 4096,
  referenceGroups: false,
  capacityFactorTrain: 1.25,
  capacityFactorEval: 2,
  minCapacity: 4,
  maxPositions: 2048,
  ropeTheta: 10_000,
  normEps: 1e-6,
  precision: 'f32',
  initScale: 0.1,
} as const satisfies Partial<DecoderConfig>;

export const openmoe = (c: DecoderConfig): Model => family('openmoe', c, 'moe');
