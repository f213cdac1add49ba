/** The model computes what the PyTorch reference computes from the same checkpoint: forward passes, loss, gradients, greedy text. */
import { beforeAll, describe, expect, test } from 'vitest';
import { readModel, readWeights } from '../src/checkpoints/index.ts';
import { type ArgumentSpec, type Executor, full, matmul, openRef, reshape, trace } from '../src/exec/index.ts';
import { openLanguageModel, type Routed } from '../src/infer/index.ts';
import { capacityOf, type Mode, type Model, openmoe, OPENMOE_DEFAULTS } from '../src/models/index.ts';
import { stepProgram } from '../src/train/step.ts';
import {
  at,
  combineWeights,
  executors,
  farthest,
  farthestOfLargest,
  goldenBytes,
  goldenJson,
  goldens,
  gradientInPlace,
  i32At,
  routerProgram,
} from './goldens.ts';
import { evaluate, type Numbers } from './support.ts';

const MODES = ['train', 'eval'] as const satisfies readonly Mode[];
/** Residual entries reach some tens, logits five: f32 against f64 measured 2e-5 on both. */
const TOLERANCE = { logits: 1e-4, hidden: 3e-4, share: 1e-5 };

const readFile = (name: string): Promise<Uint8Array> => Promise.resolve(goldenBytes(`torch/model/${name}`));
let model: Model;
let weights: Record<string, Float32Array>;
beforeAll(async () => {
  const read = await readModel(readFile, 'torch/model');
  model = openmoe({ ...read.config, dialect: 'torch' });
  weights = Object.fromEntries(await readWeights(model, readFile, 'torch/model'));
});

function forwardProgram(rows: number, length: number, mode: Mode) {
  const specs: Record<string, ArgumentSpec> = Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' }]));
  return trace(
    `forward ${mode}`,
    { ...specs, tokens: { shape: [rows, length], dtype: 'i32' } },
    (a) => {
      const input = { tokens: reshape(a['tokens']!, [rows * length]), segments: full([rows, length], 1, 'i32'), mode, padded: false };
      const { hidden } = model.apply((path) => a[path]!, input);
      return { results: { hidden, logits: matmul(hidden, a['head']!) } };
    },
    (tap) => /\.(router|residual)\./.test(tap),
  );
}

interface Layer {
  readonly aux_loss: number;
  readonly router_z_loss: number;
}
interface Forward {
  readonly inputs: Readonly<
    Record<
      string,
      Readonly<Record<Mode, { readonly layers: Readonly<Record<string, Layer>> }>> & { readonly shape: readonly [number, number] }
    >
  >;
}

const FORWARD = goldens('torch/forward-tiny1.safetensors');
const scalarsOf = (input: string) => goldenJson<Forward>('torch/forward-tiny1.json').inputs[input]!;

const forward = (executor: Executor, input: string, mode: Mode): Promise<Record<string, Numbers>> =>
  evaluate(executor, forwardProgram(...scalarsOf(input).shape, mode), { ...weights, tokens: i32At(FORWARD, `${input}/ids`) });

async function checkForward(executor: Executor, input: string, mode: Mode): Promise<void> {
  const scalars = scalarsOf(input)[mode];
  const got = await forward(executor, input, mode);
  const want = (name: string): Numbers => at(FORWARD, `${input}/${mode}/${name}`).data;
  expect(farthest(got['logits']!, want('logits')), 'logits').toBeLessThan(TOLERANCE.logits);
  if (FORWARD.has(`${input}/${mode}/hidden.final`)) {
    expect(farthest(got['hidden']!, want('hidden.final')), 'final hidden states').toBeLessThan(TOLERANCE.hidden);
    for (let i = 0; i < model.config.layers; i++)
      expect(farthest(got[`layers.${i}.residual.h`]!, want(`hidden.${i}`)), `hidden ${i}`).toBeLessThan(TOLERANCE.hidden);
  }
  for (const layer of model.moeLayers) {
    const tap = (name: string): Numbers => got[`layers.${layer}.router.${name}`]!;
    const decided = { top2: tap('chosen'), slot: tap('slot'), kept: tap('kept') };
    for (const [name, ours] of Object.entries(decided))
      expect(Array.from(ours), `layer ${layer} ${name}`).toEqual(Array.from(want(`router.${layer}.${name}`)));
    expect(farthest(tap('probs'), want(`router.${layer}.probs`)), `layer ${layer} probabilities`).toBeLessThan(TOLERANCE.share);
    expect(farthest(combineWeights({ gates: tap('gates'), kept: tap('kept') }), want(`router.${layer}.weight`))).toBeLessThan(
      TOLERANCE.share,
    );
    const { aux_loss: aux, router_z_loss: z } = scalars.layers[layer]!;
    expect(farthestOfLargest(tap('balanceLoss'), Float64Array.of(aux))).toBeLessThan(1e-5);
    expect(farthestOfLargest(tap('routerZ'), Float64Array.of(z))).toBeLessThan(1e-5);
  }
}

/** The reference shifts inside: position t is trained on token t + 1, the last on none. */
async function lossAndGradients(executor: Executor) {
  const { shape, data } = at(goldens('torch/loss-tiny1.safetensors'), 'ids');
  const [rows, length] = shape as [number, number];
  const isLast = (i: number): boolean => (i + 1) % length === 0;
  const tokens = Int32Array.from(data);
  const batch = {
    tokens,
    targets: tokens.map((_, i) => (isLast(i) ? 0 : tokens[i + 1]!)),
    segments: new Int32Array(tokens.length).fill(1),
    weights: Float32Array.from(tokens, (_, i) => (isLast(i) ? 0 : 1)),
  };
  const config = {
    batch: rows,
    length,
    accumulate: 1,
    losses: { z: 1e-4, balance: 0.01, routerZ: 1e-4 },
    padded: false,
    recompute: 'none',
  } as const;
  return evaluate(executor, stepProgram(model, gradientInPlace, config), { ...weights, ...batch, lr: Float32Array.of(0) });
}

async function checkLoss(executor: Executor, tolerance: { readonly loss: number; readonly gradient: number }): Promise<void> {
  const { f64 } = goldenJson<{ readonly f64: Readonly<Record<string, number>> }>('torch/loss-tiny1.json');
  const want = goldens('torch/loss-tiny1.safetensors');
  const got = await lossAndGradients(executor);
  expect(farthest(got['total']!, [f64['total_per_token_mean']!]), 'total').toBeLessThan(tolerance.loss);
  expect(farthest(got['crossEntropy']!, [f64['ce_per_token_mean']!]), 'cross-entropy').toBeLessThan(tolerance.loss);
  for (const { path, foreign, shape } of model.list) {
    const theirs = Float64Array.from(at(want, `grad/${foreign.name}`).data);
    // The reference never trains the padding row of its embedding; ours has the gradient that this row would have.
    if (path === 'embedding') theirs.set(at(want, 'grad/embed_row0_if_not_padding').data);
    const ours = foreign.transposed ? transposed(got[path]!, shape as [number, number]) : got[path]!;
    expect(farthestOfLargest(ours, theirs), path).toBeLessThan(tolerance.gradient);
  }
}

const transposed = (x: Numbers, [rows, cols]: readonly [number, number]): Float64Array =>
  Float64Array.from(x, (_, i) => x[(i % rows) * cols + Math.floor(i / rows)]!);

interface RouterCase {
  readonly capacity: number;
  readonly top2: readonly (readonly number[])[];
  readonly slot: readonly (readonly number[])[];
  readonly kept: readonly (readonly number[])[];
  readonly combine_weights: readonly (readonly number[])[];
  readonly aux_loss: number;
  readonly router_z_loss: number;
}
const ROUTER_CASES =
  goldenJson<Record<string, { readonly logits: readonly (readonly number[])[] } & Record<Mode, RouterCase>>>('torch/router-cases.json');

async function checkRouter(executor: Executor, name: string, mode: Mode): Promise<void> {
  const { logits, [mode]: want } = ROUTER_CASES[name]!;
  const [tokens, experts] = [logits.length, logits[0]!.length];
  const capacity = capacityOf(tokens, mode, { ...OPENMOE_DEFAULTS, experts, dialect: 'torch' });
  expect(capacity, 'capacity').toBe(want.capacity);
  const got = await evaluate(executor, routerProgram({ tokens, experts, groups: 1, capacity }), {
    logits: Float32Array.from(logits.flat()),
  });
  expect(Array.from(got['chosen']!), 'top-2').toEqual(want.top2.flat());
  expect(Array.from(got['slot']!), 'slots').toEqual(want.slot.flat());
  expect(Array.from(got['kept']!), 'kept').toEqual(want.kept.flat());
  expect(farthest(combineWeights(got), want.combine_weights.flat()), 'combine weights').toBeLessThan(1e-6);
  expect(farthestOfLargest(got['balanceLoss']!, Float64Array.of(want.aux_loss)), 'balance loss').toBeLessThan(1e-6);
  expect(farthestOfLargest(got['routerZ']!, Float64Array.of(want.router_z_loss)), 'router z').toBeLessThan(1e-6);
}

interface Generation {
  readonly prompts: Readonly<
    Record<
      string,
      {
        readonly ids: readonly (readonly number[])[];
        readonly with_cache: { readonly tokens: readonly (readonly number[])[]; readonly dropped: readonly number[] };
      }
    >
  >;
}

const drops = (routed: readonly Routed[]): number => routed.flatMap((r) => Array.from(r.kept)).filter((k) => k === 0).length;

async function checkGeneration(executor: Executor, prompt: string): Promise<void> {
  const { ids, with_cache: want } = goldenJson<Generation>('torch/generate-tiny1.json').prompts[prompt]!;
  const shapes = new Map(model.list.map((p) => [p.path, p.shape]));
  const buffers = Object.fromEntries(
    Object.entries(weights).map(([path, data]) => [path, executor.put(data, { dtype: 'f32', shape: shapes.get(path)! })]),
  );
  const lm = openLanguageModel(model, executor, buffers, { context: 64 });
  const sequence = lm.begin();
  const [tokens, dropped]: [number[], number[]] = [[], []];
  let read = await sequence.extend(ids[0]!);
  for (const _ of want.tokens[0]!) {
    tokens.push(read.best);
    dropped.push(drops(read.routed));
    if (tokens.length < want.tokens[0]!.length) read = await sequence.extend([tokens.at(-1)!]);
  }
  lm.close();
  expect(tokens).toEqual(want.tokens[0]);
  expect(dropped, 'dropped choices per read').toEqual(want.dropped);
}

describe.each(executors())('%s', (_, executor) => {
  const forwards = ['one', 'short', 't33', 'long', 'batch3'].flatMap((input) => MODES.map((mode) => [input, mode] as const));
  test.each(forwards)('%s %s: decisions are equal, logits and hidden states agree', (input, mode) => checkForward(executor, input, mode));

  test('loss and gradients agree with the double-precision run', () => checkLoss(executor, { loss: 1e-5, gradient: 2e-5 }));

  const cases = Object.keys(ROUTER_CASES).flatMap((name) => MODES.map((mode) => [name, mode] as const));
  test.each(cases)('router on %s logits, %s: choices, slots and drops are equal', (name, mode) => checkRouter(executor, name, mode));

  test.each(['single', 'plain', 'crowded', 'crowded2'])('greedy text after %s prompt is equal token by token', (prompt) =>
    checkGeneration(executor, prompt),
  );
});

describe('the reference executor in double precision', () => {
  const executor = openRef('f64');
  test('logits equal the double-precision run', async () => {
    const { logits } = await forward(executor, 't33', 'eval');
    expect(farthest(logits!, at(FORWARD, 't33/eval/logits_f64').data)).toBeLessThan(1e-12);
  });
  test('loss and gradients equal the double-precision run', () => checkLoss(executor, { loss: 1e-12, gradient: 1e-12 }));
});
