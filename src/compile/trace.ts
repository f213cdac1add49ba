/** Traced TypeScript → program: the whole way from a function over tensors to a flat list. */
import { argument, withTaps, type DType, type Role, type Shape, type Taps, type Tensor } from '../ops/index.ts';
import { emit, type Root } from './emit.ts';
import type { Program } from './program.ts';
import { simplify } from './simplify.ts';

export interface ArgumentSpec {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly role?: Role;
}

export interface Traced {
  /** Values to return, by name. */
  readonly results: Readonly<Record<string, Tensor>>;
  /** Result name → name of the argument that it overwrites. */
  readonly updates?: Readonly<Record<string, string>>;
}

/** Runs `build` once on symbolic arguments and compiles what it returns, and the taps that `watch` selects. */
export function trace(
  name: string,
  specs: Readonly<Record<string, ArgumentSpec>>,
  build: (args: Readonly<Record<string, Tensor>>) => Traced,
  watch: (tap: string) => boolean = () => false,
): Program {
  const args = Object.entries(specs).map(([key, spec]) => argument(key, spec.shape, spec));
  const { result, taps } = withTaps(() => build(Object.fromEntries(args.map((t) => [t.name!, t]))));
  const roots: Root[] = Object.entries(result.results).map(([key, tensor]) => {
    const target = result.updates?.[key];
    return { name: key, tensor, ...(target !== undefined && { updates: target }) };
  });
  const watched = [...(taps as Taps)].filter(([key]) => watch(key)).map(([key, tensor]) => ({ name: key, tensor }));
  const all = [...roots, ...watched];
  const simple = simplify(all.map((r) => r.tensor));
  return emit(
    name,
    args,
    all.map((r, i) => ({ ...r, tensor: simple[i]! })),
  );
}
