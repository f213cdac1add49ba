/** Initial parameters: a pure function of the seed and each parameter's path. */
import { rng, type Rng } from '../base/index.ts';
import { flatten, type Init, type Model, type ParamTree, sizeOf } from '../models/index.ts';

/** Values of every parameter by path (reference 4.1). */
export function initialValues(model: Model, seed: number): Map<string, Float32Array> {
  const random = rng(seed).at('init');
  return new Map(flatten(model.params as ParamTree).map(([path, p]) => [path, draw(p.init, sizeOf(p.shape), random.at(path))]));
}

/** Beyond every index of a tensor: where the redraws of a truncated normal begin. */
const REDRAW = 2 ** 40;

export function draw(init: Init, size: number, random: Rng): Float32Array {
  const values = new Float32Array(size);
  if (init.kind === 'ones') return values.fill(1);
  for (let i = 0; i < size; i++) {
    let x = random.normal(i);
    for (let again = 1; init.kind === 'truncated' && Math.abs(x) > 2; again++) x = random.normal(i + again * REDRAW);
    values[i] = x * init.std;
  }
  return values;
}
