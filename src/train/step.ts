/** The training step as a program. */
import {
  add,
  type BatchTensors,
  gradient,
  losses,
  type LossConfig,
  type Model,
  type Program,
  scope,
  sliceAxis,
  type Tensor,
  trace,
  type ArgumentSpec,
} from './vocabulary.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import type { Recipe } from './recipe.ts';

export interface StepConfig {
  readonly batch: number;
  readonly length: number;
  /** Microbatches of `batch` rows whose gradients are summed (reference 3.1). */
  readonly accumulate: number;
  readonly losses: LossConfig;
  /** Rows may hold padding. */
  readonly padded: boolean;
  readonly recompute: 'none' | 'layer';
}

/** What a recipe says of a step. */
export const stepConfig = ({ train: { batch, accumulate, recompute }, data, losses: weights }: Recipe): StepConfig => ({
  batch,
  length: data.length,
  accumulate,
  losses: weights,
  padded: false,
  recompute,
});

/** Scopes whose nodes are recomputed together. */
const LAYER = /\blayers\.\d+/;

/** Argument name of an optimizer slot. */
export const slotName = (path: string, slot: string): string => `${path}/${slot}`;

const batchSpecs = (lead: readonly number[]): Record<string, ArgumentSpec> => ({
  tokens: { shape: lead, dtype: 'i32' },
  targets: { shape: lead, dtype: 'i32' },
  segments: { shape: lead, dtype: 'i32' },
  weights: { shape: lead },
});
const batchOf = (args: Readonly<Record<string, Tensor>>): BatchTensors => ({
  tokens: args['tokens']!,
  targets: args['targets']!,
  segments: args['segments']!,
  weights: args['weights']!,
});

/** Which router taps are read while training. */
const ROUTER_TAPS = /\.router\.(chosen|gates|kept|balanceLoss|routerZ)$/;

/**
 * One optimizer step. Arguments: parameters by path, slots, the batch (rows accumulate·batch), lr and the optimizer's scalars.
 * Results: total, crossEntropy, balanceLoss and routerZ (sums over microbatches), updated parameters and slots, router taps.
 */
export function stepProgram(model: Model, optimizer: Optimizer, c: StepConfig): Program {
  const slots = model.list.flatMap((p) =>
    Object.entries(optimizer.slots(p)).map(([s, shape]) => [slotName(p.path, s), { shape, role: 'state' }] as const),
  );
  const scalars = Object.fromEntries(Object.keys(optimizer.scalars(0)).map((k) => [k, { shape: [] }]));
  const specs: Record<string, ArgumentSpec> = {
    ...Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' as const }])),
    ...Object.fromEntries(slots),
    ...batchSpecs([c.accumulate * c.batch, c.length]),
    lr: { shape: [] },
    ...scalars,
  };
  return trace(
    'train step',
    specs,
    (args) => {
      const weights = model.list.map((p) => args[p.path]!);
      const { metrics, grads } = accumulated(model, args, weights, c);
      const updates: Record<string, string> = {};
      const results: Record<string, Tensor> = { ...metrics };
      model.list.forEach((p, i) => {
        const own = Object.fromEntries(Object.keys(optimizer.slots(p)).map((s) => [s, args[slotName(p.path, s)]!]));
        const chosen = Object.fromEntries(Object.keys(scalars).map((k) => [k, args[k]!]));
        const made = optimizer.update(p, { w: weights[i]!, g: grads[i]!, slots: own, lr: args['lr']!, scalars: chosen });
        results[p.path] = made.w;
        updates[p.path] = p.path;
        for (const [s, t] of Object.entries(made.slots)) {
          results[slotName(p.path, s)] = t;
          updates[slotName(p.path, s)] = slotName(p.path, s);
        }
      });
      return { results, updates };
    },
    (tap) => ROUTER_TAPS.test(tap),
  );
}

const METRICS = ['total', 'crossEntropy', 'balanceLoss', 'routerZ'] as const;

interface Sums {
  readonly metrics: Readonly<Record<string, Tensor>>;
  readonly grads: readonly Tensor[];
}

/** Metrics and gradients summed over microbatches; each sum is made before the next microbatch, so that two sets of gradients live at most. */
function accumulated(model: Model, args: Readonly<Record<string, Tensor>>, weights: readonly Tensor[], c: StepConfig): Sums {
  const whole = batchOf(args);
  let sums: Sums | undefined;
  for (let n = 0; n < c.accumulate; n++) {
    const rows = (t: Tensor): Tensor => sliceAxis(t, 0, { from: n * c.batch, size: c.batch });
    const batch = {
      tokens: rows(whole.tokens),
      targets: rows(whole.targets),
      segments: rows(whole.segments),
      weights: rows(whole.weights),
    };
    const part = scope(`micro.${n}`, (): Sums => {
      const l = losses(model, (path) => args[path]!, { batch, config: c.losses, mode: 'train', padded: c.padded });
      const metrics = Object.fromEntries(METRICS.flatMap((k) => (l[k] ? [[k, l[k]]] : [])));
      return { metrics, grads: gradient(l.total, weights, c.recompute === 'layer' ? { recompute: LAYER } : {}) };
    });
    sums = sums ? added(sums, part) : part;
  }
  return sums!;
}

const added = (a: Sums, b: Sums): Sums => ({
  metrics: Object.fromEntries(Object.entries(a.metrics).map(([k, t]) => [k, add(t, b.metrics[k]!)])),
  grads: a.grads.map((g, i) => add(g, b.grads[i]!)),
});
