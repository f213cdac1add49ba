/** Weights for measurements: distributed as a model begins with, and made in a moment however many they are. */
import { rng } from '../base/index.ts';
import { flatten, type Model, type ParamTree, sizeOf } from '../infer/index.ts';
import { draw } from '../train/index.ts';

/** So many values of a parameter are drawn and then repeated: a prime, so that no two rows of a matrix are alike. */
const PERIOD = 65_521;

/** Values of every parameter by path. */
export function weightsOf(model: Model): Map<string, Float32Array> {
  const random = rng(1).at('weights');
  return new Map(
    flatten(model.params as ParamTree).map(([path, { init, shape }]) => {
      const size = sizeOf(shape);
      return [path, repeated(draw(init, Math.min(size, PERIOD), random.at(path)), size)];
    }),
  );
}

/** `size` numbers: those of `made` over and over. */
export function repeated<T extends Float32Array | Int32Array>(made: T, size: number): T {
  if (made.length >= size) return made;
  const all = new (made.constructor as new (length: number) => T)(size);
  for (let at = 0; at < size; at += made.length) all.set(made.subarray(0, Math.min(made.length, size - at)), at);
  return all;
}
