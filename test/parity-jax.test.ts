/** The model computes what the JAX reference computes: forward passes, routing decisions, losses and gradients. */
import { describe, expect, test } from 'vitest';
import { type ArgumentSpec, type Executor, matmul, openRef, trace } from '../src/exec/index.ts';
import { losses, type BatchTensors, type Mode, type Model, type Tensor } from '../src/models/index.ts';
import { stepProgram } from '../src/train/step.ts';
import {
  at,
  executors,
  farthest,
  farthestOfLargest,
  goldenJson,
  goldens,
  type Goldens,
  goldenWeights,
  gradientInPlace,
  jaxBatch,
  jaxModel,
  t5xName,
} from './goldens.ts';
import { evaluate, type Numbers } from './support.ts';

interface Scalars {
  readonly rows: number;
  readonly length: number;
  readonly train: ModeScalars;
  readonly eval: ModeScalars;
}
interface ModeScalars {
  readonly moe_layers: Readonly<
    Record<string, { readonly auxiliary_loss: number; readonly router_z_loss: number; readonly kept_assignments: number }>
  >;
  readonly loss: {
    readonly total: number;
    readonly cross_entropy: number;
    readonly auxiliary_loss_scaled: number;
    readonly router_z_loss_scaled: number;
  };
  readonly microbatches_2?: { readonly sum_of_loss: number };
}

const LOSSES = { z: 1e-4, balance: 0.01, routerZ: 1e-4 };
const CASES = { m1: ['plain', 'packed', 'padded', 'odd'], m2: ['plain', 'packed', 'padded', 'small'] } as const;
/** Cases whose gradients the reference stored. */
const GRADIENTS = { m1: 'packed', m2: 'padded' } as const;
const MODELS = ['m1', 'm2'] as const;
const MODES = ['train', 'eval'] as const satisfies readonly Mode[];

type Name = (typeof MODELS)[number];

const scalarsOf = (name: Name, kind: string): Scalars => goldenJson<Readonly<Record<string, Scalars>>>(`jax/${name}/scalars.json`)[kind]!;

const batchSpecs = (shape: readonly number[]): Record<string, ArgumentSpec> => ({
  tokens: { shape, dtype: 'i32' },
  targets: { shape, dtype: 'i32' },
  segments: { shape, dtype: 'i32' },
  weights: { shape },
});

/** Losses and, from the same pass, logits. */
function forwardProgram(model: Model, shape: readonly number[], mode: Mode) {
  const specs = {
    ...Object.fromEntries(model.list.map((p): [string, ArgumentSpec] => [p.path, { shape: p.shape, role: 'parameter' }])),
    ...batchSpecs(shape),
  };
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
      const { total, crossEntropy, balanceLoss, routerZ } = losses(observed, (path) => a[path]!, {
        batch: a as unknown as BatchTensors,
        config: LOSSES,
        mode,
        padded: true,
      });
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

/** Results of one pass: losses, logits, router and residual taps. */
async function forward(executor: Executor, name: Name, kind: string, mode: Mode): Promise<Record<string, Numbers>> {
  const model = jaxModel(name);
  const { rows, length } = scalarsOf(name, kind);
  const batch = jaxBatch(goldens(`jax/${name}/${kind}.batch.safetensors`));
  const weights = Object.fromEntries(await goldenWeights(model, `jax/${name}/weights_hf.safetensors`));
  return evaluate(executor, forwardProgram(model, [rows, length], mode), { ...weights, ...batch });
}

async function checkForward(executor: Executor, name: Name, kind: string, mode: Mode): Promise<void> {
  const got = await forward(executor, name, kind, mode);
  const scalars = scalarsOf(name, kind)[mode];
  const want = goldens(`jax/${name}/${kind}.${mode}.safetensors`);
  for (const layer of jaxModel(name).moeLayers) checkRouting(got, want, layer, scalars);
  for (const [key, { data }] of want) {
    const layer = /^hidden\.(\d+)$/.exec(key)?.[1];
    if (layer) expect(farthest(got[`layers.${layer}.residual.h`]!, data), key).toBeLessThan(1e-4);
  }
  expect(farthest(got['logits']!, at(want, 'logits').data), 'logits').toBeLessThan(1e-4);
  checkLosses(got, scalars.loss, 1e-5);
}

function checkLosses(got: Readonly<Record<string, Numbers>>, want: ModeScalars['loss'], tolerance: number): void {
  expect(farthest(got['total']!, [want.total]), 'total').toBeLessThan(tolerance);
  expect(farthest(got['crossEntropy']!, [want.cross_entropy]), 'cross-entropy').toBeLessThan(tolerance);
  expect(
    farthest(
      got['balanceLoss']!.map((x: number) => LOSSES.balance * x),
      [want.auxiliary_loss_scaled],
    ),
    'balance',
  ).toBeLessThan(tolerance / 10);
  expect(
    farthest(
      got['routerZ']!.map((x: number) => LOSSES.routerZ * x),
      [want.router_z_loss_scaled],
    ),
    'router z',
  ).toBeLessThan(tolerance / 10);
}

/** Gradients of the total loss by parameter, and `total`. */
async function gradients(executor: Executor, name: Name, microbatches: 1 | 2): Promise<Record<string, Numbers>> {
  const kind = GRADIENTS[name];
  const model = jaxModel(name);
  const { rows, length } = scalarsOf(name, kind);
  const config = { batch: rows / microbatches, length, accumulate: microbatches, losses: LOSSES, padded: true, recompute: 'none' } as const;
  const weights = Object.fromEntries(await goldenWeights(model, `jax/${name}/weights_hf.safetensors`));
  const batch = jaxBatch(goldens(`jax/${name}/${kind}.batch.safetensors`));
  return evaluate(executor, stepProgram(model, gradientInPlace, config), { ...weights, ...batch, lr: Float32Array.of(0) });
}

async function checkGradients(executor: Executor, name: Name, microbatches: 1 | 2): Promise<void> {
  const got = await gradients(executor, name, microbatches);
  const want = goldens(`jax/${name}/${GRADIENTS[name]}.train.grads${microbatches === 2 ? '_2_microbatches' : ''}.safetensors`);
  const compared = jaxModel(name).list.filter((p) => want.has(t5xName(p.path)));
  expect(compared.length).toBe(want.size);
  for (const { path } of compared) expect(farthestOfLargest(got[path]!, at(want, t5xName(path)).data), path).toBeLessThan(2e-5);
  const { loss, microbatches_2: two } = scalarsOf(name, GRADIENTS[name]).train;
  expect(farthest(got['total']!, [microbatches === 2 ? two!.sum_of_loss : loss.total]), 'total').toBeLessThan(2e-5);
}

interface DoubleScalars {
  readonly loss: ModeScalars['loss'];
  readonly grads_f64_l2?: Readonly<Record<string, number>>;
  readonly grads_f64_sum?: Readonly<Record<string, number>>;
}
const doublesOf = (name: Name, kind: string): Readonly<Record<Mode, DoubleScalars>> =>
  goldenJson<Readonly<Record<string, Readonly<Record<Mode, DoubleScalars>>>>>(`jax/${name}/scalars_f64.json`)[kind]!;

/** In double precision, length and sum of every gradient. */
async function checkGradientsInDouble(executor: Executor, name: Name): Promise<void> {
  const got = await gradients(executor, name, 1);
  const { loss, grads_f64_l2: lengths, grads_f64_sum: sums } = doublesOf(name, GRADIENTS[name]).train;
  expect(farthest(got['total']!, [loss.total]), 'total').toBeLessThan(1e-12);
  for (const { path } of jaxModel(name).list) {
    const [ours, length] = [Float64Array.from(got[path]!), lengths![t5xName(path)]!];
    expect(Math.abs(Math.hypot(...ours) / length - 1), path).toBeLessThan(1e-11);
    expect(Math.abs(ours.reduce((a, b) => a + b, 0) - sums![t5xName(path)]!) / length, path).toBeLessThan(1e-11);
  }
}

const forwards = MODELS.flatMap((m) => CASES[m].flatMap((kind) => MODES.map((mode) => [m, kind, mode] as const)));

describe.each(executors())('%s', (_, executor) => {
  test.each(forwards)('%s %s %s: decisions are equal, logits, residuals and losses agree', (m, kind, mode) =>
    checkForward(executor, m, kind, mode),
  );

  const steps = MODELS.flatMap((m) => ([1, 2] as const).map((n) => [m, n] as const));
  test.each(steps)('%s: gradients of the total loss agree, summed over %i microbatches', (m, n) => checkGradients(executor, m, n));
});

describe('the reference executor in double precision', () => {
  const executor = openRef('f64');
  test.each(forwards)('%s %s %s: losses equal the double-precision run to twelve digits', async (m, kind, mode) =>
    checkLosses(await forward(executor, m, kind, mode), doublesOf(m, kind)[mode].loss, 1e-12),
  );

  test.each(MODELS)('%s: every gradient has the length and the sum of the double-precision run', (m) =>
    checkGradientsInDouble(executor, m),
  );
});
