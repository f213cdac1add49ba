/** Programs run once on numbers, and what a model's forward pass gives.   B rows, S tokens a row, N = B·S, H hidden, V vocabulary. */
import type { Numbers as Given } from '../exec/index.ts';
import type { Numbers } from './row.ts';
import {
  type ArgumentSpec,
  type BatchTensors,
  type Buffer,
  type Executor,
  type LossConfig,
  losses,
  matmul,
  type Mode,
  type Model,
  type Optimizer,
  type Program,
  type Tensor,
  trace,
} from './vocabulary.ts';

/** Results as they come from an executor: in double precision from the reference executor in f64. */
export type Results = Readonly<Record<string, Given | Float64Array>>;
export type Inputs = Readonly<Record<string, Given | Buffer>>;

/** Runs a program once. Inputs are numbers, or buffers of this executor. */
export async function evaluate(executor: Executor, program: Program, inputs: Inputs): Promise<Results> {
  const loaded = await executor.load(program);
  try {
    const results = await loaded.run(
      Object.fromEntries(
        program.arguments.map((a) => {
          const given = inputs[a.name]!;
          return [a.name, ArrayBuffer.isView(given) ? executor.put(given as Given, a) : given];
        }),
      ),
    );
    return Object.fromEntries(Object.entries(results).map(([k, b]) => [k, executor.get(b)]));
  } finally {
    loaded.close();
  }
}

/** Weights by path, held by an executor. */
export const held = (executor: Executor, model: Model, weights: ReadonlyMap<string, Float32Array>): Record<string, Buffer> =>
  Object.fromEntries(model.list.map((p) => [p.path, executor.put(weights.get(p.path)!, { dtype: 'f32', shape: p.shape })]));

export const parameterSpecs = (model: Model): Record<string, ArgumentSpec> =>
  Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' }]));

export const batchSpecs = (shape: readonly number[]): Record<string, ArgumentSpec> => ({
  tokens: { shape, dtype: 'i32' },
  targets: { shape, dtype: 'i32' },
  segments: { shape, dtype: 'i32' },
  weights: { shape },
});

export interface ForwardConfig {
  readonly rows: number;
  readonly length: number;
  readonly mode: Mode;
  /** Rows may hold padding. */
  readonly padded: boolean;
  readonly losses: LossConfig;
}

/**
 * One pass over a batch: logits [N,V], hidden [N,H] after the final norm, total, crossEntropy, perToken [N], balanceLoss, routerZ, and the taps
 * `layers.I.router.*` and `layers.I.residual.h`.
 */
export function forwardProgram(model: Model, c: ForwardConfig): Program {
  return trace(
    `forward ${c.mode}`,
    { ...parameterSpecs(model), ...batchSpecs([c.rows, c.length]) },
    (a) => {
      let hidden: Tensor | undefined;
      const observed: Model = {
        ...model,
        apply(weight, input) {
          const out = model.apply(weight, input);
          hidden = out.hidden;
          return out;
        },
      };
      const batch = a as unknown as BatchTensors;
      const { balanceLoss, routerZ, ...rest } = losses(observed, (path) => a[path]!, {
        batch,
        config: c.losses,
        mode: c.mode,
        padded: c.padded,
      });
      const routers = balanceLoss && routerZ ? { balanceLoss, routerZ } : {};
      return { results: { ...rest, ...routers, hidden: hidden!, logits: matmul(hidden!, a['head']!) } };
    },
    (tap) => /\.(router|residual)\./.test(tap),
  );
}

/** An optimizer whose step leaves the gradient where the weight was. */
export const gradientInPlace: Optimizer = { slots: () => ({}), scalars: () => ({}), update: (_, { g }) => ({ w: g, slots: {} }) };

/** What a router decided for each choice, dropped ones with weight 0. `[N·K]` each. */
export function routed(got: Results, layer: number) {
  const tap = (name: string): Numbers => got[`layers.${layer}.router.${name}`]!;
  const kept = Array.from(tap('kept'));
  return {
    tap,
    chosen: tap('chosen'),
    slot: tap('slot'),
    kept,
    weight: kept.map((k, i) => (k ? tap('gates')[i]! : 0)),
  };
}

/** logsumexp of each row of `width` numbers, in double precision. */
export function logZ(logits: Numbers, width: number): number[] {
  return Array.from({ length: logits.length / width }, (_, row) => {
    let top = -Infinity;
    for (let i = row * width; i < (row + 1) * width; i++) top = Math.max(top, logits[i]!);
    let total = 0;
    for (let i = row * width; i < (row + 1) * width; i++) total += Math.exp(logits[i]! - top);
    return top + Math.log(total);
  });
}

/** The numbers of one of `count` equal parts. */
export const part = (x: Numbers, at: number, count: number): Numbers =>
  (x as Float32Array).slice((at * x.length) / count, ((at + 1) * x.length) / count);

export const sumOf = (x: Numbers): number => Array.from(x).reduce((a, b) => a + b, 0);
export const squaredSum = (x: Numbers): number => Array.from(x).reduce((a, b) => a + b * b, 0);
