/** Name schemes: where each of our parameters stands in a checkpoint, and in which orientation. */
import type { Model } from '../models/index.ts';
import { placeHf } from './names-hf.ts';
import { placeNativePt } from './names-native-pt.ts';
import { placeT5x } from './names-t5x.ts';
import { rowOf, type Stored, turned } from './stored.ts';

export type Parameter = Model['list'][number];

/** Where a parameter stands: in one tensor, or, `stacked`, its rows along the first axis (experts) in one each. */
export interface Place {
  readonly names: readonly string[];
  /** Each tensor holds the last two axes of ours swapped. */
  readonly transposed: boolean;
  readonly stacked: boolean;
}

const SCHEMES = { hf: placeHf, t5x: placeT5x, 'native-pt': placeNativePt } as const satisfies Record<string, (p: Parameter) => Place>;
export const placeOf = (p: Parameter, scheme: NameScheme): Place => SCHEMES[scheme](p);
export type NameScheme = keyof typeof SCHEMES;
export const SCHEME_NAMES = Object.keys(SCHEMES) as readonly NameScheme[];

/** The scheme that these names follow: that of Hugging Face unless they show another. */
export function schemeOf(names: Iterable<string>): NameScheme {
  for (const name of names) {
    if (/^(target\/)?(decoder|token_embedder)\//.test(name)) return 't5x';
    if (/\.mlp\.(gate\.weight|experts\.\d+\.)/.test(name)) return 'native-pt';
  }
  return 'hf';
}

/** A tensor of a checkpoint and the part of a parameter that it holds. */
export interface PlacedTensor {
  readonly name: string;
  /** As stored. */
  readonly shape: readonly number[];
  readonly parameter: Parameter;
  readonly transposed: boolean;
  /** Index along the parameter's first axis; undefined: all of it. */
  readonly index: number | undefined;
}

/** The tensors of a model under a scheme, in the order of its parameters. */
export function placedTensors(model: Model, scheme: NameScheme): PlacedTensor[] {
  return model.list.flatMap((parameter) => {
    const { names, transposed, stacked } = placeOf(parameter, scheme);
    const whole = stacked ? parameter.shape.slice(1) : parameter.shape;
    const shape = transposed ? swapped(whole) : whole;
    return names.map((name, i) => ({ name, shape, parameter, transposed, index: stacked ? i : undefined }));
  });
}

const swapped = <T>(list: readonly T[]): T[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
const turnedBack = (stored: Stored): Stored => turned(stored, swapped(stored.view.shape.map((_, i) => i)));

/** The tensors that make up a parameter, each as a part of it in our orientation: all of it, or a row of its first axis each. */
export function partsOf(parameter: Parameter, scheme: NameScheme, find: (name: string) => Stored): Stored[] {
  const { names, transposed } = placeOf(parameter, scheme);
  return names.map((name) => (transposed ? turnedBack(find(name)) : find(name)));
}

/** What a tensor of another scheme holds, in that scheme's orientation; `parts` as `partsOf` gives them. */
export function tensorFrom(placed: PlacedTensor, parts: readonly Stored[]): readonly Stored[] {
  const turn = (list: readonly Stored[]): readonly Stored[] => (placed.transposed ? list.map(turnedBack) : list);
  if (placed.index === undefined) return turn(parts);
  const whole = parts[0]!.view.shape.length === placed.parameter.shape.length;
  return turn([whole ? rowOf(parts[0]!, placed.index) : parts[placed.index]!]);
}
