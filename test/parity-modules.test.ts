/** Single layers compute what the JAX reference's modules compute, gradients included. */
import { describe, expect, test } from 'vitest';
import {
  type ArgumentSpec,
  type Executor,
  full,
  gradient,
  linearCrossEntropy,
  mul,
  reshape,
  rmsNorm,
  rope,
  sum,
  type Tensor,
  trace,
} from '../src/exec/index.ts';
import {
  attentionLayer,
  feedforward,
  flatten,
  iota,
  OPENMOE_DEFAULTS,
  unflatten,
  type ParamTree,
  type Values,
} from '../src/models/index.ts';
import {
  at,
  executors,
  f32At,
  farthest,
  farthestOfLargest,
  goldenJson,
  goldens,
  goldenWeights,
  i32At,
  jaxModel,
  routerProgram,
} from './goldens.ts';
import { evaluate, type Numbers } from './support.ts';

const FILE = goldens('jax/modules.safetensors');
const shapeAt = (name: string): readonly number[] => at(FILE, name).shape;

interface Modules {
  readonly attention: { readonly heads: number; readonly head_dim: number };
  readonly ce_plain: { readonly total: number; readonly z_loss_part: number };
}
interface RouterScalars {
  readonly capacity: number;
  readonly auxiliary_loss: number;
  readonly router_z_loss: number;
}
const MODULES = goldenJson<Modules & Readonly<Record<string, RouterScalars>>>('jax/modules.json');

async function checkRouter(executor: Executor, name: string): Promise<void> {
  const [groups, group, experts, capacity] = shapeAt(`${name}.combine_array`) as [number, number, number, number];
  const want = MODULES[name]!;
  const tokens = groups * group;
  const got = await evaluate(executor, routerProgram({ tokens, experts, groups, capacity }), { logits: f32At(FILE, `${name}.logits`) });
  expect(Array.from(got['chosen']!)).toEqual(Array.from(at(FILE, `${name}.top2`).data));
  const [combine, mask] = [new Float64Array(tokens * experts * capacity), new Int32Array(tokens * experts * capacity)];
  got['kept']!.forEach((kept: number, i: number) => {
    if (!kept) return;
    const cell = (Math.floor(i / 2) * experts + got['chosen']![i]!) * capacity + got['slot']![i]!;
    [combine[cell], mask[cell]] = [got['gates']![i]!, 1];
  });
  expect(Array.from(mask)).toEqual(Array.from(at(FILE, `${name}.dispatch_mask`).data));
  expect(farthest(combine, at(FILE, `${name}.combine_array`).data)).toBeLessThan(1e-6);
  expect(capacity).toBe(want.capacity);
  expect(farthestOfLargest(got['balanceLoss']!, Float64Array.of(want.auxiliary_loss))).toBeLessThan(1e-6);
  expect(farthestOfLargest(got['routerZ']!, Float64Array.of(want.router_z_loss))).toBeLessThan(1e-6);
}

interface LayerCase<P extends ParamTree> {
  readonly module: string;
  readonly params: P;
  /** Our parameter → theirs. */
  readonly names: Readonly<Record<string, string>>;
  /** i[B,S], where the layer asks for segments. */
  readonly segments: Int32Array;
  readonly apply: (p: Values<P>, x: Tensor, segments: Tensor) => Tensor;
}

/** A layer on x [B,S,H]: its output, and by their names the gradients that arrive when `dy` leaves. */
async function layerWithGradients<P extends ParamTree>(
  executor: Executor,
  { module, params, names, segments, apply }: LayerCase<P>,
): Promise<Record<string, Numbers>> {
  const list = flatten(params);
  const [rows, length, width] = shapeAt(`${module}.x`) as [number, number, number];
  const specs: Record<string, ArgumentSpec> = {
    ...Object.fromEntries(list.map(([path, p]) => [path, { shape: p.shape }])),
    x: { shape: [rows * length, width] },
    dy: { shape: [rows * length, width] },
    segments: { shape: [rows, length], dtype: 'i32' },
  };
  const program = trace(module, specs, (a) => {
    const y = apply(
      unflatten(params, (path) => a[path]!),
      a['x']!,
      a['segments']!,
    );
    const grads = gradient(
      sum(mul(y, a['dy']!)),
      ['x', ...list.map(([path]) => path)].map((k) => a[k]!),
    );
    return { results: Object.fromEntries([y, ...grads].map((t, i) => [['y', 'dx', ...list.map(([path]) => `d_${names[path]}`)][i]!, t])) };
  });
  return evaluate(executor, program, {
    ...Object.fromEntries(list.map(([path]) => [path, f32At(FILE, `${module}.${names[path]}`)])),
    x: f32At(FILE, `${module}.x`),
    dy: f32At(FILE, `${module}.dy`),
    segments,
  });
}

async function checkFeedforward(executor: Executor): Promise<void> {
  const [hidden, inner] = [shapeAt('ffn.x').at(-1)!, shapeAt('ffn.wi_1')[1]!];
  const { params, apply } = feedforward({ hidden, inner, initScale: 0.1 });
  const segments = new Int32Array(at(FILE, 'ffn.x').data.length / hidden);
  const got = await layerWithGradients(executor, {
    module: 'ffn',
    params,
    names: { gate: 'wi_0', up: 'wi_1', down: 'wo' },
    segments,
    apply,
  });
  expect(Object.keys(got)).toEqual(['y', 'dx', 'd_wi_0', 'd_wi_1', 'd_wo']);
  for (const [name, ours] of Object.entries(got)) expect(farthestOfLargest(ours, at(FILE, `ffn.${name}`).data), name).toBeLessThan(2e-6);
}

async function checkAttention(executor: Executor): Promise<void> {
  const { heads, head_dim: headSize } = MODULES.attention;
  const [rows, length, hidden] = shapeAt('attention.x') as [number, number, number];
  const layer = attentionLayer({ hidden, heads, headSize, ropeTheta: 10_000, initScale: 0.1 });
  const targets = i32At(FILE, 'attention.targets');
  // The reference masks what has no target; its segment ids go on.
  const segments = i32At(FILE, 'attention.segment_ids').map((s, i) => (targets[i]! > 0 ? s : 0));
  const got = await layerWithGradients(executor, {
    module: 'attention',
    params: layer.params,
    names: { query: 'query', key: 'key', value: 'value', out: 'out' },
    segments,
    apply: (p, x, t) => {
      const positions = reshape(iota([rows, length], 1), [rows * length]);
      return layer.apply(p, { x, positions, segments: t });
    },
  });
  expect(segments.some((s) => s === 0)).toBe(true); // padding sees nothing, and the reference's gradient passes through it all the same
  for (const [name, ours] of Object.entries(got))
    expect(farthestOfLargest(ours, at(FILE, `attention.${name}`).data), name).toBeLessThan(2e-6);
}

async function checkRope(
  executor: Executor,
  headSize: number,
  positions: readonly number[],
  { table, tolerance }: { table: string; tolerance: number },
): Promise<void> {
  const half = headSize / 2;
  const program = trace(
    'rope',
    { x: { shape: [positions.length, headSize] }, positions: { shape: [positions.length], dtype: 'i32' } },
    (a) => ({ results: { y: rope(a['x']!, a['positions']!, { heads: 1, theta: 10_000 }) } }),
  );
  // Ones in the first half and zeros in the second turn into cosines and sines.
  const x = Float32Array.from({ length: positions.length * headSize }, (_, i) => (i % headSize < half ? 1 : 0));
  const { y } = await evaluate(executor, program, { x, positions: Int32Array.from(positions) });
  const [cos, sin] = [at(FILE, `${table}.cos`).data, at(FILE, `${table}.sin`).data];
  expect(
    farthest(
      y!,
      Float64Array.from(y!, (_, i) => (i % headSize < half ? cos[i]! : sin[i]!)),
    ),
  ).toBeLessThan(tolerance);
}

async function checkCrossEntropy(executor: Executor): Promise<void> {
  const [rows, length, vocab] = shapeAt('ce.logits') as [number, number, number];
  const tokens = rows * length;
  const counted = f32At(FILE, 'ce.weights').reduce((a, b) => a + b);
  const specs: Record<string, ArgumentSpec> = {
    h: { shape: [tokens, vocab] },
    w: { shape: [vocab, vocab] },
    targets: { shape: [tokens], dtype: 'i32' },
    scale: { shape: [tokens] },
  };
  const program = trace('cross-entropy', specs, ({ h, w, targets, scale }) => {
    const { loss, ce } = linearCrossEntropy({ h: h!, w: w!, targets: targets!, scale: scale! }, { zLoss: 1e-4 });
    return { results: { loss, crossEntropy: sum(mul(ce, scale!)), dLogits: gradient(loss, [h!])[0]! } };
  });
  const got = await evaluate(executor, program, {
    h: f32At(FILE, 'ce.logits'),
    w: Float32Array.from({ length: vocab * vocab }, (_, i) => (i % (vocab + 1) === 0 ? 1 : 0)),
    targets: i32At(FILE, 'ce.targets'),
    scale: f32At(FILE, 'ce.weights').map((w) => w / counted),
  });
  expect(farthest(got['loss']!, [MODULES.ce_plain.total])).toBeLessThan(1e-5);
  expect(farthest(got['crossEntropy']!, [MODULES.ce_plain.total - MODULES.ce_plain.z_loss_part])).toBeLessThan(1e-5);
  expect(farthestOfLargest(got['dLogits']!, at(FILE, 'ce.plain.d_logits').data)).toBeLessThan(1e-5);
}

/** The mask zeroes normed rows, hence the final hidden states. */
async function checkMask(executor: Executor): Promise<void> {
  const model = jaxModel('m1');
  const [rows, length] = shapeAt('logit_mask.inputs') as [number, number];
  const specs: Record<string, ArgumentSpec> = Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' }]));
  const program = trace('mask', { ...specs, tokens: { shape: [rows * length], dtype: 'i32' } }, (a) => {
    const input = { tokens: a['tokens']!, segments: full([rows, length], 1, 'i32'), mode: 'eval', padded: true } as const;
    return { results: { hidden: model.apply((path) => a[path]!, input).hidden } };
  });
  const weights = Object.fromEntries(await goldenWeights(model, 'jax/m1/weights_hf.safetensors'));
  const { hidden } = await evaluate(executor, program, { ...weights, tokens: i32At(FILE, 'logit_mask.inputs') });
  const width = model.config.hidden;
  const mask = Array.from({ length: rows * length }, (_, n) =>
    hidden!.slice(n * width, (n + 1) * width).some((x: number) => x !== 0) ? 1 : 0,
  );
  expect(mask).toEqual(Array.from(at(FILE, 'logit_mask.mask').data));
}

async function checkNorm(executor: Executor): Promise<void> {
  const [hidden] = shapeAt('norm.scale') as [number];
  const rows = at(FILE, 'norm.x').data.length / hidden;
  const program = trace('norm', { x: { shape: [rows, hidden] }, scale: { shape: [hidden] } }, (a) => ({
    results: { y: rmsNorm(a['x']!, a['scale']!, { eps: OPENMOE_DEFAULTS.normEps }) },
  }));
  const { y } = await evaluate(executor, program, { x: f32At(FILE, 'norm.x'), scale: f32At(FILE, 'norm.scale') });
  expect(farthest(y!, at(FILE, 'norm.y').data)).toBeLessThan(1e-6);
}

describe.each(executors())('%s', (_, executor) => {
  test.each(['router0', 'router1', 'router2'])('%s with ties and overflow: dispatch mask and combine array, cell by cell', (name) =>
    checkRouter(executor, name),
  );

  test('attention with two segments and padding', () => checkAttention(executor));

  test('feed-forward', () => checkFeedforward(executor));

  const first = Array.from({ length: 64 }, (__, i) => i);
  // The reference's angles are rounded to single precision: its own error grows with the position.
  test.each([
    ['rope4', 4, first, 1e-5],
    ['rope16', 16, first, 1e-5],
    ['rope16.rows_1024_2047', 16, [1024, 2047], 2e-4],
  ] as const)('%s: cosines and sines', (table, headSize, positions, tolerance) =>
    checkRope(executor, headSize, positions, { table, tolerance }),
  );

  test('cross-entropy with z-loss, weighted', () => checkCrossEntropy(executor));

  test('the mask of padded rows leaves the first token and what stands beside a token', () => checkMask(executor));

  test('norm', () => checkNorm(executor));
});
