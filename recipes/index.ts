/** recipes: what people run, as typed values, by name. Must not know devices. */
import type { Recipe } from '../src/train/index.ts';
import { denseBase, denseLarge, openmoe34b, openmoe8b, openmoeBase } from './published.ts';
import { medium, mediumDense, quickstart, quickstartDense, small, smallDense, tiny, tinyDense } from './small.ts';

export const RECIPES: Readonly<Record<string, Recipe>> = Object.fromEntries(
  [
    quickstart,
    quickstartDense,
    tiny,
    tinyDense,
    small,
    smallDense,
    medium,
    mediumDense,
    openmoeBase,
    openmoe8b,
    openmoe34b,
    denseBase,
    denseLarge,
  ].map((r) => [r.name, r]),
);
