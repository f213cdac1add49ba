/** The training step as a program. */
import { add, type BatchTensors, gradient, losses, type LossConfig, type Model, type Program, scope, sliceAxis, type Tensor, trace, type ArgumentSpec } from './vocabulary.ts';
import type { Optimizer } from './optimizers/optimizer.ts';

export interface StepConfig {
  readonly batch: number;
  readonly length: number;
  /** Microbatches of `batch` rows whose gradients are summed (reference 3.1). */
  readonly accumulate: number;
  readonly losses: LossConfig;
  /** Rows may hold padding. */
  readonly padded: boolean;
}

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
  const slots = model.list.flatMap((p) => Object.entries(optimizer.slots(p)).map(([s, shape]) => [slotName(p.path, s), { shape, role: 'state' }] as const));
  const scalars = Object.fromEntries(Object.keys(optimizer.scalars(0)).map((k) => [k, { shape: [] }]));
  const specs: Record<string, ArgumentSpec> = {
    ...Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' as const }])),
    ...Object.fromEntries(slots),
    ...batchSpecs([c.accumulate * c.batch, c.length]),
    lr: { shape: [] },
    ...scalars,
  };
  return trace('train step', specs, (args) => {
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
  }, (tap) => ROUTER_TAPS.test(tap));
}

function accumulated(model: Model, args: Readonly<Record<string, Tensor>>, weights: readonly Tensor[], c: StepConfig) {
  const whole = batchOf(args);
  const parts = Array.from({ length: c.accumulate }, (_, n) => {
    const rows = (t: Tensor): Tensor => sliceAxis(t, 0, { from: n * c.batch, size: c.batch });
    const batch = { tokens: rows(whole.tokens), targets: rows(whole.targets), segments: rows(whole.segments), weights: rows(whole.weights) };
    return scope(`micro.${n}`, () => {
      const l = losses(model, (path) => args[path]!, { batch, config: c.losses, mode: 'train', padded: c.padded });
      return { l, grads: gradient(l.total, weights) };
    });
  });
  const total = (of: (p: (typeof parts)[number]) => Tensor | undefined): Tensor | undefined =>
    parts.map(of).reduce((a, b) => (a && b ? add(a, b) : undefined));
  const keys = ['total', 'crossEntropy', 'balanceLoss', 'routerZ'] as const;
  const metrics = Object.fromEntries(keys.flatMap((k) => { const t = total((p) => p.l[k]); return t ? [[k, t]] : []; }));
  return { metrics, grads: weights.map((_, i) => total((p) => p.grads[i])!) };
}
