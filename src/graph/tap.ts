/** Taps: what is only observed is named while tracing; a tap that nobody asks for is dead code and costs nothing. */
import type { Tensor } from './tensor.ts';

export type Taps = ReadonlyMap<string, Tensor>;

// Tracing is synchronous, so the innermost open trace is the one being built.
const open: { taps: Map<string, Tensor>; path: string[] }[] = [];

/** Runs `build` and collects the taps made inside it. */
export function withTaps<T>(build: () => T): { result: T; taps: Taps } {
  const frame = { taps: new Map<string, Tensor>(), path: [] as string[] };
  open.push(frame);
  try {
    return { result: build(), taps: frame.taps };
  } finally {
    open.pop();
  }
}

/** Prefixes the names of the taps made inside `build`, and says where its nodes come from: `scope('layers.3', …)`. */
export function scope<T>(name: string, build: () => T): T {
  const frame = open.at(-1);
  frame?.path.push(name);
  try {
    return build();
  } finally {
    frame?.path.pop();
  }
}

/** `micro.0.layers.3`: the scopes that are open now. */
export const scopePath = (): string => open.at(-1)?.path.join('.') ?? '';

/** Names values of the graph: `tap('router', { probs })` inside scope `layers.3` is `layers.3.router.probs`. */
export function tap(name: string, values: Readonly<Record<string, Tensor>>): void {
  const frame = open.at(-1);
  for (const [key, tensor] of Object.entries(values)) frame?.taps.set([...frame.path, name, key].join('.'), tensor);
}
