/** Small numbers that a reader can check by hand (reference, section 14), capacities and learning rates. */
import { describe, expect, test } from 'vitest';
import {
  type ArgumentSpec,
  type Executor,
  gradient,
  linearCrossEntropy,
  matmul,
  rmsNorm,
  rope,
  trace,
  type Tensor,
} from '../src/exec/index.ts';
import { capacityOf, type CapacityConfig, feedforward, gatedProduct, OPENMOE_DEFAULTS } from '../src/models/index.ts';
import { adafactor } from '../src/train/optimizers/adafactor.ts';
import { learningRate } from '../src/train/schedule.ts';
import { routerProgram } from '../src/parity/router.ts';
import { combineWeights, executors, farthest } from './goldens.ts';
import { evaluate, type Numbers } from './support.ts';

const f32 = (...x: number[]): Float32Array => Float32Array.from(x);

/** Runs a function of named f32 arrays. */
function compute(
  executor: Executor,
  inputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array }>>,
  build: (a: Readonly<Record<string, Tensor>>) => Readonly<Record<string, Tensor>>,
): Promise<Record<string, Numbers>> {
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([k, { shape, data }]): [string, ArgumentSpec] => [
      k,
      { shape, dtype: data instanceof Int32Array ? 'i32' : 'f32' },
    ]),
  );
  return evaluate(
    executor,
    trace('golden vector', specs, (a) => ({ results: build(a) })),
    Object.fromEntries(Object.entries(inputs).map(([k, { data }]) => [k, data])),
  );
}

async function checkRouter(executor: Executor): Promise<void> {
  const logits = f32(1, 0.5, 0, -0.5, 1.2, 0.1, 0.9, 0, 0.3, 0.2, 0.1, 0, 2, 1.9, 0, 0, 0, 0, 0, 1, 0.7, 0.6, 0.5, 0.4);
  const route = (capacity: number) =>
    evaluate(executor, routerProgram({ tokens: 6, experts: 4, groups: 1, capacity, topK: 2 }), { logits });
  const two = await route(2);
  expect(Array.from(two['chosen']!)).toEqual([0, 1, 0, 2, 0, 1, 0, 1, 3, 0, 0, 1]);
  expect(Array.from(two['slot']!)).toEqual([0, 0, 1, 0, 2, 1, 3, 2, 0, 5, 4, 3]);
  expect(Array.from(two['kept']!)).toEqual([1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0]);
  expect(farthest(combineWeights(two), [0.4550542, 0.2760043, 0.4210733, 0.3119388, 0, 0.2611826, 0, 0, 0.4753669, 0, 0, 0])).toBeLessThan(
    2e-7,
  );
  expect(Array.from((await route(3))['kept']!)).toEqual([1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0]);
  expect(farthest(two['balanceLoss']!, [2.3364272])).toBeLessThan(5e-7);
  expect(farthest(two['routerZ']!, [4.060836])).toBeLessThan(1e-6);
}

async function checkFeedforward(executor: Executor): Promise<void> {
  const layer = feedforward({ hidden: 2, inner: 2, initScale: 0.1 });
  const inputs = {
    x: { shape: [1, 2], data: f32(1, -2) },
    gate: { shape: [2, 4], data: f32(0.1, 0.2, 0.3, -0.4, 0.5, -0.6, 0.7, 0.8) },
    up: { shape: [2, 2], data: f32(0.9, -0.1, 0.2, 0.3) },
    down: { shape: [2, 2], data: f32(1, 0.5, -0.5, 2) },
    ones: { shape: [1, 2], data: f32(1, 1) },
  };
  const got = await compute(executor, inputs, (a) => {
    const [g, u] = [matmul(a['x']!, a['gate']!), matmul(a['x']!, a['up']!)];
    const y = layer.apply({ gate: a['gate']!, up: a['up']!, down: a['down']! }, a['x']!);
    return { g, s: gatedProduct(g, a['ones']!), u, product: gatedProduct(g, u), y };
  });
  const want = {
    g: [-0.9, 1.4, -1.1, -2],
    s: [0.2472425, -0.3337682],
    u: [0.5, -0.7],
    product: [0.1236212, 0.2336377],
    y: [0.0068024, 0.5290861],
  };
  for (const [name, numbers] of Object.entries(want)) expect(farthest(got[name]!, numbers), name).toBeLessThan(2e-7);
}

async function checkRope(executor: Executor): Promise<void> {
  const inputs = {
    x: { shape: [3, 4], data: f32(1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4) },
    positions: { shape: [3], data: Int32Array.of(0, 1, 3) },
  };
  const { y } = await compute(executor, inputs, (a) => ({ y: rope(a['x']!, a['positions']!, { heads: 1, theta: 10_000 }) }));
  expect(
    farthest(y!, [1, 2, 3, 4, -1.9841106, 1.9599007, 2.4623779, 4.0197997, -1.4133525, 1.8791181, -2.8288575, 4.0581911]),
  ).toBeLessThan(1e-6);
}

async function checkNorm(executor: Executor): Promise<void> {
  const inputs = { x: { shape: [1, 4], data: f32(1, 2, 3, 4) }, scale: { shape: [4], data: f32(1, 1, 1, 1) } };
  const { y } = await compute(executor, inputs, (a) => ({ y: rmsNorm(a['x']!, a['scale']!, { eps: 1e-6 }) }));
  expect(farthest(y!, [0.3651483, 0.7302967, 1.095445, 1.4605934])).toBeLessThan(2e-7);
}

async function checkCrossEntropy(executor: Executor): Promise<void> {
  const inputs = {
    h: { shape: [1, 3], data: f32(2, 0, -1) },
    w: { shape: [3, 3], data: f32(1, 0, 0, 0, 1, 0, 0, 0, 1) },
    targets: { shape: [1], data: Int32Array.of(0) },
    scale: { shape: [1], data: f32(1) },
  };
  const got = await compute(executor, inputs, ({ h, w, targets, scale }) => {
    const made = linearCrossEntropy({ h: h!, w: w!, targets: targets!, scale: scale! }, { zLoss: 1e-4 });
    return { ...made, grad: gradient(made.loss, [h!])[0]! };
  });
  const want = { logZ: [2.16984602], ce: [0.16984602], loss: [0.17031684], grad: [-0.1558391, 0.1142448, 0.0420283] };
  for (const [name, numbers] of Object.entries(want)) expect(farthest(got[name]!, numbers), name).toBeLessThan(3e-7);
}

const ADAFACTOR = { decayRate: 0.8, eps1: 1e-30, eps2: 1e-3, clip: 1 };
const W0 = f32(0.1, -0.2, 0.3, 0.4, 0.5, -0.6);
const G = [f32(1, 2, -1, 0.5, -0.5, 1), f32(0.2, -0.1, 0.4, 1, 1, -2)] as const;
const scalarInput = (x: number) => ({ shape: [], data: f32(x) });
const matrix = (data: Float32Array) => ({ shape: [2, 3], data });

async function checkFactored(executor: Executor): Promise<void> {
  const optimizer = adafactor({ ...ADAFACTOR, minDimToFactor: 2 });
  const p = { path: 'w', shape: [2, 3], axes: ['embed', 'mlp'] } as const;
  let state: Record<string, Numbers> = { w: W0, v_row: f32(0, 0), v_col: f32(0, 0, 0) };
  const wants = [
    { w: [0.096285555, -0.204028881, 0.302936527, 0.396285555, 0.502014441, -0.605873053], v_row: [2, 0.5], v_col: [0.625, 2.125, 1] },
    {
      w: [0.095114795, -0.203626404, 0.301554213, 0.391548731, 0.498757644, -0.600280292],
      v_row: [0.8915061, 1.3615238],
      v_col: [0.5646933, 1.1945543, 1.6202971],
    },
  ];
  for (const [step, want] of wants.entries()) {
    const inputs = {
      w: matrix(f32(...state['w']!)),
      g: matrix(G[step]!),
      v_row: { shape: [2], data: f32(...state['v_row']!) },
      v_col: { shape: [3], data: f32(...state['v_col']!) },
      lr: scalarInput(0.01),
      decay: scalarInput(optimizer.scalars(step)['decay']!),
    };
    state = await compute(executor, inputs, (a) => {
      const made = optimizer.update(p, {
        w: a['w']!,
        g: a['g']!,
        slots: { v_row: a['v_row']!, v_col: a['v_col']! },
        lr: a['lr']!,
        scalars: { decay: a['decay']! },
      });
      return { w: made.w, ...made.slots };
    });
    for (const [name, numbers] of Object.entries(want))
      expect(farthest(state[name]!, numbers), `${name} after step ${step}`).toBeLessThan(3e-7);
  }
}

async function checkUnfactored(executor: Executor): Promise<void> {
  const optimizer = adafactor({ ...ADAFACTOR, minDimToFactor: 128 });
  const p = { path: 'w', shape: [2, 3], axes: ['embed', 'mlp'] } as const;
  const inputs = {
    w: matrix(W0),
    g: matrix(G[0]),
    v: matrix(new Float32Array(6)),
    lr: scalarInput(0.01),
    decay: scalarInput(optimizer.scalars(0)['decay']!),
  };
  const { w } = await compute(executor, inputs, (a) => {
    const made = optimizer.update(p, { w: a['w']!, g: a['g']!, slots: { v: a['v']! }, lr: a['lr']!, scalars: { decay: a['decay']! } });
    return { w: made.w, v: made.slots['v']! };
  });
  expect(farthest(w!, [0.09610556, -0.20389444, 0.30389444, 0.39610556, 0.50389444, -0.60389444])).toBeLessThan(1e-7);
}

describe.each(executors())('golden vectors of the reference (section 14) on %s', (_, executor) => {
  test('router: choices, slots, drops at capacities 2 and 3, weights and losses', () => checkRouter(executor));
  test('feed-forward: a product of three factors with four matrices, silu on the second half', () => checkFeedforward(executor));
  test('rope pairs the halves of a head', () => checkRope(executor));
  test('RMSNorm', () => checkNorm(executor));
  test('cross-entropy with z-loss, and its gradient', () => checkCrossEntropy(executor));
  test('Adafactor, factored: two steps', () => checkFactored(executor));
  test('Adafactor, unfactored: one step', () => checkUnfactored(executor));
});

test('β2 grows from 0 towards 1 (section 14)', () => {
  const decay = (step: number): number => adafactor({ ...ADAFACTOR, minDimToFactor: 128 }).scalars(step)['decay']!;
  expect(farthest([0, 1, 9, 99, 9999].map(decay), [0, 0.4256508, 0.8415107, 0.9748811, 0.999369])).toBeLessThan(1e-7);
});

test('the learning rate is flat for 10,000 steps, then falls with the root of the step (5.2)', () => {
  const rate = (step: number): number => learningRate({ kind: 'rsqrt', base: 1, warmup: 10_000 }, step);
  expect([0, 1, 5000, 10_000].map(rate)).toEqual([0.01, 0.01, 0.01, 0.01]);
  expect(farthest([40_000, 390_000, 500_000].map(rate), [0.005, 0.0016013, 0.0014142])).toBeLessThan(5e-8);
  expect(learningRate({ kind: 'constant', base: 0.001 }, 123)).toBe(0.001);
});

const capacities = (tokens: number, c: CapacityConfig): number[] => [capacityOf(tokens, 'train', c), capacityOf(tokens, 'eval', c)];

test.each([
  [4096, 32, [160, 256], [320, 512]],
  [4096, 16, [320, 512], [640, 1024]],
  [2048, 32, [80, 128], [160, 256]],
  [2048, 16, [160, 256], [320, 512]],
  [1024, 32, [40, 64], [80, 128]],
  [100, 32, [4, 6], [8, 12]],
  [33, 32, [4, 4], [4, 4]],
  [1, 32, [4, 4], [4, 4]],
])('%i tokens and %i experts: capacity in training and evaluation, both dialects (2.6)', (tokens, experts, jax, torch) => {
  expect(capacities(tokens, { ...OPENMOE_DEFAULTS, experts })).toEqual(jax);
  expect(capacities(tokens, { ...OPENMOE_DEFAULTS, experts, dialect: 'torch' })).toEqual(torch);
});
