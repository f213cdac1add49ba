/** Parameters as data: a tree of shapes, initialisations and named axes; layers are functions over such trees. */
import type { Shape, Tensor } from '../ops/index.ts';

/** What an axis counts; the optimizer factors by these names and a sharded executor would cut along them. */
export type Axis = 'vocab' | 'embed' | 'joined_kv' | 'mlp' | 'expert' | 'unmodeled';

export type Init =
  | { readonly kind: 'ones' }
  | { readonly kind: 'normal'; readonly std: number }
  /** Normal cut at two standard deviations; `std` is that of the normal before the cut. */
  | { readonly kind: 'truncated'; readonly std: number };

export interface Param {
  readonly shape: Shape;
  readonly axes: readonly Axis[];
  readonly init: Init;
}

export type ParamTree = { readonly [name: string]: Param | ParamTree };

/** The same tree with tensors in place of parameters. */
export type Values<P> = { readonly [K in keyof P]: P[K] extends Param ? Tensor : Values<P[K]> };

/** Parameters and what they do to an input. */
export interface Layer<P extends ParamTree, I, R> {
  readonly params: P;
  apply(p: Values<P>, input: I): R;
}
export const layer = <const P extends ParamTree, I, R>(l: Layer<P, I, R>): Layer<P, I, R> => l;

const isParam = (x: Param | ParamTree): x is Param => 'shape' in x && 'init' in x;

/** All parameters with their dotted paths, in order of declaration. */
export function flatten(tree: ParamTree, prefix = ''): [path: string, param: Param][] {
  return Object.entries(tree).flatMap(([name, x]) =>
    isParam(x) ? [[prefix + name, x] as [string, Param]] : flatten(x, `${prefix}${name}.`),
  );
}

/** Tensors by path put back into the form of the tree. */
export function unflatten<P extends ParamTree>(tree: P, tensor: (path: string) => Tensor, prefix = ''): Values<P> {
  return Object.fromEntries(
    Object.entries(tree).map(([name, x]) => [name, isParam(x) ? tensor(prefix + name) : unflatten(x, tensor, `${prefix}${name}.`)]),
  ) as Values<P>;
}

/** √(scale ÷ fan_in) (reference 4.1; scale is 0.1 for OpenMoE, 1 for its dense counterparts). */
const fanIn = (scale: number, inputs: number): number => Math.sqrt(scale / inputs);
/** A normal cut at ±2σ has this standard deviation. */
const TRUNCATED_STD = 0.87962566103423978;

export const normal = (shape: Shape, axes: readonly Axis[], std: number): Param => ({ shape, axes, init: { kind: 'normal', std } });
export const scaledNormal = (shape: Shape, axes: readonly Axis[], scale: number): Param => normal(shape, axes, fanIn(scale, shape.at(-2)!));
export const scaledTruncated = (shape: Shape, axes: readonly Axis[], scale: number): Param => ({
  shape,
  axes,
  init: { kind: 'truncated', std: fanIn(scale, shape.at(-2)!) / TRUNCATED_STD },
});
export const ones = (size: number): Param => ({ shape: [size], axes: ['embed'], init: { kind: 'ones' } });
