/** Optimizers by the name that a recipe gives them. */
import type { Recipe } from '../recipe.ts';
import { adafactor } from './adafactor.ts';
import { adamw } from './adamw.ts';
import type { Optimizer } from './optimizer.ts';

export type { Optimizer } from './optimizer.ts';

export function makeOptimizer(c: Recipe['optimizer']): Optimizer {
  switch (c.kind) {
    case 'adafactor':
      return adafactor(c);
    case 'adamw':
      return adamw(c);
  }
}
