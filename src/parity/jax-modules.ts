/** Single layers of the JAX reference: `modules.json`, `modules.safetensors`.   B rows, S tokens a row, N = B·S, G groups of T tokens, E experts, V vocabulary. */
import { type FixtureFolder, readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Sheet } from './row.ts';
import { routerProgram } from './router.ts';
import { evaluate, type Results } from './running.ts';
import { checkMask } from './jax-mask.ts';
import {
  type ArgumentSpec,
  attentionLayer,
  type Executor,
  feedforward,
  flatten,
  gradient,
  iota,
  linearCrossEntropy,
  mul,
  OPENMOE_DEFAULTS,
  type ParamTree,
  reshape,
  rmsNorm,
  rope,
  smoothedCrossEntropy,
  sum,
  type Tensor,
  trace,
  unflatten,
  type Values,
} from './vocabulary.ts';

interface RouterScalars {
  readonly capacity: number;
  readonly auxiliary_loss: number;
  readonly router_z_loss: number;
}
interface CrossEntropyScalars {
  readonly total: number;
  readonly z_loss_part: number;
  readonly loss_normalizing_factor: number;
  readonly options: { readonly z_loss?: number; readonly label_smoothing?: number };
}
interface Modules {
  readonly attention: { readonly heads: number; readonly head_dim: number };
  readonly [name: string]: RouterScalars | CrossEntropyScalars | { readonly heads: number; readonly head_dim: number };
}

interface Context {
  readonly executor: Executor;
  readonly file: Tensors;
  readonly scalars: Modules;
}

const FILES = ['modules.json', 'modules.safetensors'];

/** One fixture for each module that the files hold. */
export async function moduleFixtures(folder: FixtureFolder, executor: Executor): Promise<Fixture[]> {
  const file = await readTensors(folder, 'modules.safetensors');
  const scalars = await readJson<Modules>(folder, 'modules.json');
  const context = { executor, file, scalars };
  const named = (pattern: RegExp): string[] => [...new Set(file.names.flatMap((n) => pattern.exec(n)?.[1] ?? []))];
  const checks: [string, (to: Sheet) => Promise<void>][] = [
    ...named(/^(.+)\.dispatch_mask$/).map((n): [string, (to: Sheet) => Promise<void>] => [n, (to) => checkRouter(context, n, to)]),
    ...named(/^(rope.+)\.cos$/).map((n): [string, (to: Sheet) => Promise<void>] => [n, (to) => checkRope(context, n, to)]),
    ...named(/^ce\.(.+)\.d_logits$/).map((n): [string, (to: Sheet) => Promise<void>] => [`ce ${n}`, (to) => checkLoss(context, n, to)]),
    ['norm', (to) => checkNorm(context, to)],
    ['feed-forward', (to) => checkFeedforward(context, to)],
    ['attention', (to) => checkAttention(context, to)],
    ['logit mask', (to) => checkMask(executor, file, to)],
  ];
  const all = checks.map(([name, run]): Fixture => ({ name: `modules ${name}`, files: FILES, run }));
  const leftover = async (to: Sheet): Promise<void> => {
    // `attention.mask` is what its segments and targets say, and checked through the output.
    for (const tensor of file.unread()) if (tensor !== 'attention.mask') to.leave(`tensor ${tensor}`);
  };
  return [...all, { name: 'modules', files: FILES, run: leftover }];
}

const shapeAt = ({ file }: Context, name: string): readonly number[] => file.at(name).shape;

/** The whole dispatch mask and combine array, cell by cell. */
async function checkRouter(c: Context, name: string, to: Sheet): Promise<void> {
  const [groups, group, experts, capacity] = shapeAt(c, `${name}.combine_array`) as [number, number, number, number];
  const want = c.scalars[name] as RouterScalars;
  const tokens = groups * group;
  const program = routerProgram({ tokens, experts, groups, capacity, topK: shapeAt(c, `${name}.top2`)[2]! });
  const got = await evaluate(c.executor, program, { logits: c.file.f32(`${name}.logits`) });
  const [combine, mask] = [new Float64Array(tokens * experts * capacity), new Int32Array(tokens * experts * capacity)];
  const k = got['chosen']!.length / tokens;
  got['kept']!.forEach((kept: number, i: number) => {
    if (!kept) return;
    const cell = (Math.floor(i / k) * experts + got['chosen']![i]!) * capacity + got['slot']![i]!;
    [combine[cell], mask[cell]] = [got['gates']![i]!, 1];
  });
  to.same('choices', got['chosen']!, c.file.at(`${name}.top2`).data);
  to.same('dispatch mask', mask, c.file.at(`${name}.dispatch_mask`).data);
  to.same('capacity', [capacity], [want.capacity]);
  to.near('combine array', combine, c.file.at(`${name}.combine_array`).data, ALLOWED.probabilities);
  to.near('balance loss', got['balanceLoss']!, [want.auxiliary_loss], ALLOWED.lossPart);
  to.near('router z-loss', got['routerZ']!, [want.router_z_loss], ALLOWED.lossPart);
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
async function checkLayer<P extends ParamTree>(
  c: Context,
  { module, params, names, segments, apply }: LayerCase<P>,
  to: Sheet,
): Promise<void> {
  const list = flatten(params);
  const [rows, length, width] = shapeAt(c, `${module}.x`) as [number, number, number];
  const specs: Record<string, ArgumentSpec> = {
    ...Object.fromEntries(list.map(([path, p]) => [path, { shape: p.shape }])),
    x: { shape: [rows * length, width] },
    dy: { shape: [rows * length, width] },
    segments: { shape: [rows, length], dtype: 'i32' },
  };
  const results = ['y', 'dx', ...list.map(([path]) => `d_${names[path]}`)];
  const program = trace(module, specs, (a) => {
    const weights = unflatten(params, (path) => a[path]!);
    const y = apply(weights, a['x']!, a['segments']!);
    const wanted = ['x', ...list.map(([path]) => path)].map((k) => a[k]!);
    const grads = gradient(sum(mul(y, a['dy']!)), wanted);
    return { results: Object.fromEntries([y, ...grads].map((t, i) => [results[i]!, t])) };
  });
  const got = await evaluate(c.executor, program, {
    ...Object.fromEntries(list.map(([path]) => [path, c.file.f32(`${module}.${names[path]}`)])),
    x: c.file.f32(`${module}.x`),
    dy: c.file.f32(`${module}.dy`),
    segments,
  });
  for (const name of results)
    to.near(
      name === 'y' ? 'output' : 'gradients',
      got[name]!,
      c.file.at(`${module}.${name}`).data,
      name === 'y' ? ALLOWED.module : ALLOWED.gradient,
    );
}

function checkFeedforward(c: Context, to: Sheet): Promise<void> {
  const [rows, length, hidden] = shapeAt(c, 'ffn.x') as [number, number, number];
  const { params, apply } = feedforward({ hidden, inner: shapeAt(c, 'ffn.wi_1')[1]!, initScale: 0.1 });
  const segments = new Int32Array(rows * length);
  return checkLayer(c, { module: 'ffn', params, names: { gate: 'wi_0', up: 'wi_1', down: 'wo' }, segments, apply }, to);
}

function checkAttention(c: Context, to: Sheet): Promise<void> {
  const { heads, head_dim: headSize } = c.scalars.attention;
  const [rows, length, hidden] = shapeAt(c, 'attention.x') as [number, number, number];
  const layer = attentionLayer({ hidden, heads, headSize, ropeTheta: OPENMOE_DEFAULTS.ropeTheta, initScale: 0.1 });
  const targets = c.file.i32('attention.targets');
  const names = { query: 'query', key: 'key', value: 'value', out: 'out' };
  // The reference masks what has no target; its segment ids go on.
  const segments = c.file.i32('attention.segment_ids').map((s, i) => (targets[i]! > 0 ? s : 0));
  const positions = (): Tensor => reshape(iota([rows, length], 1), [rows * length]);
  const apply = (p: Values<typeof layer.params>, x: Tensor, t: Tensor): Tensor =>
    layer.apply(p, { x, positions: positions(), segments: t });
  return checkLayer(c, { module: 'attention', params: layer.params, names, segments, apply }, to);
}

/** `ropeH.rows_A_B` are the rows of these positions, `ropeH` those from 0 on. The reference's angles are rounded to f32: its error grows with them. */
async function checkRope(c: Context, name: string, to: Sheet): Promise<void> {
  const [rows, headSize] = shapeAt(c, `${name}.cos`) as [number, number];
  const picked = /\.rows_([\d_]+)$/.exec(name)?.[1]?.split('_').map(Number);
  const positions = picked ?? Array.from({ length: rows }, (_, i) => i);
  const program = trace('rope', { x: { shape: [rows, headSize] }, positions: { shape: [rows], dtype: 'i32' } }, (a) => ({
    results: { y: rope(a['x']!, a['positions']!, { heads: 1, theta: OPENMOE_DEFAULTS.ropeTheta }) },
  }));
  // Ones in the first half and zeros in the second turn into cosines and sines.
  const inFirst = (i: number): boolean => i % headSize < headSize / 2;
  const x = Float32Array.from({ length: rows * headSize }, (_, i) => (inFirst(i) ? 1 : 0));
  const { y } = (await evaluate(c.executor, program, { x, positions: Int32Array.from(positions) })) as { y: Float32Array };
  const [cos, sin] = [c.file.at(`${name}.cos`).data, c.file.at(`${name}.sin`).data];
  const want = Float64Array.from(y, (_, i) => (inFirst(i) ? cos[i]! : sin[i]!));
  to.near('cosines and sines', y, want, { measure: 'absolute', limit: Math.max(...positions) > 256 ? 2e-4 : 1e-5 });
}

async function checkNorm(c: Context, to: Sheet): Promise<void> {
  const [hidden] = shapeAt(c, 'norm.scale') as [number];
  const x = c.file.f32('norm.x');
  const program = trace('norm', { x: { shape: [x.length / hidden, hidden] }, scale: { shape: [hidden] } }, (a) => ({
    results: { y: rmsNorm(a['x']!, a['scale']!, { eps: OPENMOE_DEFAULTS.normEps }) },
  }));
  const got = await evaluate(c.executor, program, { x, scale: c.file.f32('norm.scale') });
  to.near('output', got['y']!, c.file.at('norm.y').data, ALLOWED.module);
}

async function checkLoss(c: Context, name: string, to: Sheet): Promise<void> {
  const want = c.scalars[`ce_${name}`] as CrossEntropyScalars;
  const [labelSmoothing, z] = [want.options.label_smoothing ?? 0, want.options.z_loss ?? 0];
  const got = labelSmoothing === 0 ? await fusedLoss(c, z) : await smoothedLoss(c, { labelSmoothing, z });
  to.near('total loss', got['total']!, [want.total], ALLOWED.loss);
  to.near('z-loss', [got['zPart']![0]!], [want.z_loss_part], ALLOWED.loss);
  to.near('gradient of logits', got['dLogits']!, c.file.at(`ce.${name}.d_logits`).data, ALLOWED.gradient);
  to.same('loss normaliser', [c.file.f32('ce.weights').reduce((a, b) => a + b, 0)], [want.loss_normalizing_factor]);
}

const lossInputs = (c: Context) => {
  const [rows, length, vocab] = shapeAt(c, 'ce.logits') as [number, number, number];
  const weights = c.file.f32('ce.weights');
  const counted = weights.reduce((a, b) => a + b, 0);
  const tokens = rows * length;
  const specs = {
    logits: { shape: [tokens, vocab] },
    targets: { shape: [tokens], dtype: 'i32' },
    scale: { shape: [tokens] },
  } as const;
  const numbers = { logits: c.file.f32('ce.logits'), targets: c.file.i32('ce.targets'), scale: weights.map((w) => w / counted) };
  return { vocab, specs, numbers };
};

/** As training has it: logits are the product with an identity, and never in memory. */
async function fusedLoss(c: Context, zLoss: number): Promise<Results> {
  const { vocab, specs, numbers } = lossInputs(c);
  const program = trace('cross-entropy', { ...specs, w: { shape: [vocab, vocab] } }, ({ logits, w, targets, scale }) => {
    const made = linearCrossEntropy({ h: logits!, w: w!, targets: targets!, scale: scale! }, { zLoss });
    const zPart = sum(mul(mul(mul(made.logZ, made.logZ), zLoss), scale!));
    return { results: { total: made.loss, zPart, dLogits: gradient(made.loss, [logits!])[0]! } };
  });
  const w = Float32Array.from({ length: vocab * vocab }, (_, i) => (i % (vocab + 1) === 0 ? 1 : 0));
  return evaluate(c.executor, program, { ...numbers, w });
}

async function smoothedLoss(c: Context, options: Parameters<typeof smoothedCrossEntropy>[1]): Promise<Results> {
  const { specs, numbers } = lossInputs(c);
  const program = trace('cross-entropy, smoothed', specs, ({ logits, targets, scale }) => {
    const made = smoothedCrossEntropy({ logits: logits!, targets: targets!, scale: scale! }, options);
    return { results: { ...made, dLogits: gradient(made.total, [logits!])[0]! } };
  });
  return evaluate(c.executor, program, numbers);
}
