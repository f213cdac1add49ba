/** The model computes what the JAX reference computes: forward passes, routing decisions, losses and gradients. */
import { describe, expect, test } from 'vitest';
import { type ArgumentSpec, type Executor, matmul, trace } from '../src/exec/index.ts';
import { losses, type BatchTensors, type Mode, type Model, type Tensor } from '../src/models/index.ts';
import { stepProgram } from '../src/train/step.ts';
import {
  at, executors, farthest, farthestOfLargest, goldenJson, goldens, type Goldens, goldenWeights, gradientInPlace, jaxBatch, jaxModel, t5xName,
} from './goldens.ts';
import { evaluate, type Numbers } from './support.ts';

interface Scalars {
  readonly rows: number;
  readonly length: number;
  readonly train: ModeScalars;
  readonly eval: ModeScalars;
}
interface ModeScalars {
  readonly moe_layers: Readonly<Record<string, { readonly auxiliary_loss: number; readonly router_z_loss: number; readonly kept_assignments: number }>>;
  readonly loss: { readonly total: number; readonly cross_entropy: number; readonly auxiliary_loss_scaled: number; readonly router_z_loss_scaled: number };
  readonly microbatches_2?: { readonly sum_of_loss: number };
}

const LOSSES = { z: 1e-4, balance: 0.01, routerZ: 1e-4 };
const CASES = { m1: ['plain', 'packed', 'padded', 'odd'], m2: ['plain', 'packed', 'padded', 'small'] } as const;
/** Cases whose gradients the reference stored. */
const GRADIENTS = { m1: 'packed', m2: 'padded' } as const;
const MODELS = ['m1', 'm2'] as const;
const MODES = ['train', 'eval'] as const satisfies readonly Mode[];

const batchSpecs = (shape: readonly number[]): Record<string, ArgumentSpec> => ({
  tokens: { shape, dtype: 'i32' },
  targets: { shape, dtype: 'i32' },
  segments: { shape, dtype: 'i32' },
  weights: { shape },
});

/** Losses and, from the same pass, logits. */
function forwardProgram(model: Model, shape: readonly number[], mode: Mode) {
  const specs = { ...Object.fromEntries(model.list.map((p): [string, ArgumentSpec] => [p.path, { shape: p.shape, role: 'parameter' }])), ...batchSpecs(shape) };
  return trace(
    `forward ${mode}`,
    specs,
    (a) => {
      const hidden: Tensor[] = [];
      const observed: Model = {
        ...model,
        apply(weight, input) {
          const out = model.apply(weight, input);
          hidden.push(out.hidden);
          return out;
        },
      };
      const { total, crossEntropy, balanceLoss, routerZ } = losses(observed, (path) => a[path]!, { batch: a as unknown as BatchTensors, config: LOSSES, mode, padded: true });
      return { results: { total, crossEntropy, balanceLoss: balanceLoss!, routerZ: routerZ!, logits: matmul(hidden[0]!, a['head']!) } };
    },
    (tap) => /\.(router|residual)\./.test(tap),
  );
}

/** What the routers of a run decided, in the reference's terms: a dropped choice has slot −1 and weight 0. */
function decisions(got: Readonly<Record<string, Numbers>>, layer: number) {
  const tap = (name: string): Numbers => got[`layers.${layer}.router.${name}`]!;
  const kept = Array.from(tap('kept'));
  return {
    top2: Array.from(tap('chosen')),
    kept,
    slot: kept.map((k, i) => (k ? tap('slot')[i]! : -1)),
    combine: kept.map((k, i) => (k ? tap('gates')[i]! : 0)),
  };
}

function checkRouting(got: Readonly<Record<string, Numbers>>, want: Goldens, layer: number, scalars: ModeScalars): void {
  const ours = decisions(got, layer);
  const theirs = (name: string) => at(want, `moe.${layer}.${name}`).data;
  for (const name of ['top2', 'kept', 'slot'] as const) expect(ours[name], `layer ${layer} ${name}`).toEqual(Array.from(theirs(name)));
  expect(farthest(ours.combine, theirs('combine')), `layer ${layer} combine weights`).toBeLessThan(1e-5);
  expect(farthest(got[`layers.${layer}.router.probs`]!, theirs('router_probs')), `layer ${layer} probabilities`).toBeLessThan(1e-5);
  const { auxiliary_loss: balance, router_z_loss: z, kept_assignments: count } = scalars.moe_layers[layer]!;
  expect(ours.kept.filter(Boolean).length).toBe(count);
  expect(farthest(got[`layers.${layer}.router.balanceLoss`]!, [balance])).toBeLessThan(1e-5);
  expect(farthest(got[`layers.${layer}.router.routerZ`]!, [z])).toBeLessThan(1e-5 * z);
}

async function checkForward(executor: Executor, name: 'm1' | 'm2', kind: string, mode: Mode): Promise<void> {
  const model = jaxModel(name);
  const scalars = goldenJson<Record<string, Scalars>>(`jax/${name}/scalars.json`)[kind]!;
  const batch = jaxBatch(goldens(`jax/${name}/${kind}.batch.safetensors`));
  const weights = Object.fromEntries(await goldenWeights(model, `jax/${name}/weights_hf.safetensors`));
  const got = await evaluate(executor, forwardProgram(model, [scalars.rows, scalars.length], mode), { ...weights, ...batch });
  const want = goldens(`jax/${name}/${kind}.${mode}.safetensors`);
  for (const layer of model.moeLayers) checkRouting(got, want, layer, scalars[mode]);
  for (const [key, { data }] of want) {
    const layer = /^hidden\.(\d+)$/.exec(key)?.[1];
    if (layer) expect(farthest(got[`layers.${layer}.residual.h`]!, data), key).toBeLessThan(1e-4);
  }
  expect(farthest(got['logits']!, at(want, 'logits').data), 'logits').toBeLessThan(1e-4);
  const { loss } = scalars[mode];
  expect(farthest(got['total']!, [loss.total]), 'total').toBeLessThan(1e-5);
  expect(farthest(got['crossEntropy']!, [loss.cross_entropy]), 'cross-entropy').toBeLessThan(1e-5);
  expect(LOSSES.balance * got['balanceLoss']![0]!).toBeCloseTo(loss.auxiliary_loss_scaled, 6);
  expect(LOSSES.routerZ * got['routerZ']![0]!).toBeCloseTo(loss.router_z_loss_scaled, 6);
}

async function checkGradients(executor: Executor, name: 'm1' | 'm2', microbatches: 1 | 2): Promise<void> {
  const kind = GRADIENTS[name];
  const model = jaxModel(name);
  const { rows, length, train } = goldenJson<Record<string, Scalars>>(`jax/${name}/scalars.json`)[kind]!;
  const config = { batch: rows / microbatches, length, accumulate: microbatches, losses: LOSSES, padded: true };
  const numbers = { ...Object.fromEntries(await goldenWeights(model, `jax/${name}/weights_hf.safetensors`)), ...jaxBatch(goldens(`jax/${name}/${kind}.batch.safetensors`)) };
  const got = await evaluate(executor, stepProgram(model, gradientInPlace, config), { ...numbers, lr: Float32Array.of(0) });
  const want = goldens(`jax/${name}/${kind}.train.grads${microbatches === 2 ? '_2_microbatches' : ''}.safetensors`);
  const compared = model.list.filter((p) => want.has(t5xName(p.path)));
  expect(compared.length).toBe(want.size);
  for (const { path } of compared) expect(farthestOfLargest(got[path]!, at(want, t5xName(path)).data), path).toBeLessThan(2e-5);
  expect(farthest(got['total']!, [microbatches === 2 ? train.microbatches_2!.sum_of_loss : train.loss.total]), 'total').toBeLessThan(2e-5);
}

describe.each(executors())('%s', (_, executor) => {
  const forwards = MODELS.flatMap((m) => CASES[m].flatMap((kind) => MODES.map((mode) => [m, kind, mode] as const)));
  test.each(forwards)('%s %s %s: decisions are equal, logits, residuals and losses agree', (m, kind, mode) => checkForward(executor, m, kind, mode));

  const steps = MODELS.flatMap((m) => ([1, 2] as const).map((n) => [m, n] as const));
  test.each(steps)('%s: gradients of the total loss agree, summed over %i microbatches', (m, n) => checkGradients(executor, m, n));
});
