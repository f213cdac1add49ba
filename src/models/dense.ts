/** Dense counterparts: the published OpenLLaMA models, and the twin of equal active FLOPs of any OpenMoE. */
import type { DecoderConfig } from './decoder.ts';
import { family } from './family.ts';
import type { Model } from './model.ts';

/** Plain layers throughout (reference 1.3). */
export const dense = (c: DecoderConfig): Model => family('dense', c, 'none');

/** A feed-forward of width 2F where an OpenMoE of the same config has two experts of width F; the extra feed-forward stays. */
export const denseTwin = (c: DecoderConfig): Model => family('dense-twin', c, 'twin');
