/** The names of the released checkpoints (reference 9.2); the models have them. */
import type { Parameter, Place } from './names.ts';

export const placeHf = ({ foreign }: Parameter): Place => ({ names: [foreign.name], transposed: foreign.transposed, stacked: false });
