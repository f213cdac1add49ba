/** Forward passes and gradients of the JAX models: `m/case.batch`, `.train`, `.eval`, `.train.grads`, scalars.   B rows, S tokens a row, E experts. */
import type { Batch, JaxModel } from './jax-model.ts';
import { jaxBatch, openJaxModel, t5xName, t5xWeights } from './jax-model.ts';
import { filesIn, type FixtureFolder, readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Sheet } from './row.ts';
import { evaluate, forwardProgram, gradientInPlace, part, type Results, routed, squaredSum, sumOf } from './running.ts';
import { capacityOf, type Executor, groupCount, type Mode, referencePadding, stepProgram } from './vocabulary.ts';

interface LayerScalars {
  readonly num_groups: number;
  readonly tokens_per_group: number;
  readonly capacity: number;
  readonly auxiliary_loss: number;
  readonly router_z_loss: number;
  readonly fraction_tokens_left_behind: number;
  readonly router_confidence: number;
  readonly expert_usage: number;
  readonly assignments: number;
  readonly kept_assignments: number;
}
export interface LossScalars {
  readonly total: number;
  readonly cross_entropy: number;
  readonly z_loss: number;
  readonly auxiliary_loss_scaled: number;
  readonly router_z_loss_scaled: number;
  readonly loss_tokens: number;
}
interface ModeScalars {
  readonly moe_layers: Readonly<Record<string, LayerScalars>>;
  readonly loss: LossScalars;
  readonly loss_with_gradient?: LossScalars;
  readonly microbatches_2?: {
    readonly sum_of_loss: number;
    readonly metric_totals: Readonly<Record<string, number>>;
    readonly grad_l2: Readonly<Record<string, number>>;
  };
  readonly grads_f64_l2?: Readonly<Record<string, number>>;
  readonly grads_f64_sum?: Readonly<Record<string, number>>;
}
type Scalars = Readonly<Record<string, Readonly<Record<Mode, ModeScalars>>>>;

const MODES = ['train', 'eval'] as const satisfies readonly Mode[];

/** Every case of a model folder. */
export function jaxModelFixtures(folder: FixtureFolder, name: string, executor: Executor): Fixture[] {
  const files = filesIn(folder, name);
  const cases = [...new Set(files.flatMap((f) => /^(.+)\.batch\.safetensors$/.exec(f)?.[1] ?? []))];
  const at = (file: string): string => `${name}/${file}`;
  const base = ['config.json', 'weights_hf.safetensors', 'scalars.json', 'scalars_f64.json'].map(at);
  const expected = cases.flatMap((kind) =>
    // A case has both modes, unless it exists for bf16 alone.
    files.some((f) => f.startsWith(`${kind}.train.f32.`)) ? [] : MODES.map((mode) => [kind, mode] as const),
  );
  return [
    { name: `${name} weights`, files: [...base, at('weights_t5x.safetensors')], run: (to) => checkNames(folder, name, to) },
    ...expected.map(([kind, mode]) => ({
      name: `${name} ${kind} ${mode}`,
      files: [...base, at(`${kind}.batch.safetensors`), at(`${kind}.${mode}.safetensors`)],
      run: (to: Sheet) => checkForward({ folder, name, kind, executor }, mode, to),
    })),
    ...files.flatMap((file): Fixture[] => {
      const [, kind, form] = /^(.+)\.train\.(grads|grads_f64|grads_2_microbatches)\.safetensors$/.exec(file) ?? [];
      if (!kind) return [];
      const run = (to: Sheet) => checkGradients({ folder, name, kind, executor }, form!, to);
      return [{ name: `${name} ${kind} ${form}`, files: [...base, at(file), at(`${kind}.batch.safetensors`)], run }];
    }),
  ];
}

/** Where a case is and what runs it. */
export interface Case {
  readonly folder: FixtureFolder;
  readonly name: string;
  readonly kind: string;
  readonly executor: Executor;
}

async function checkNames(folder: FixtureFolder, name: string, to: Sheet): Promise<void> {
  const { model, weights } = await openJaxModel(folder, name);
  const t5x = await t5xWeights(folder, name, model);
  for (const { path } of model.list) to.near('weights under T5X names', t5x.get(path)!, weights.get(path)!, ALLOWED.exact);
}

export async function runForward({ model, losses, weights }: JaxModel, batch: Batch, mode: Mode, executor: Executor): Promise<Results> {
  const [rows, length] = batch.shape;
  const { shape: _, ...numbers } = batch;
  return evaluate(executor, forwardProgram(model, { rows, length, mode, padded: true, losses }), {
    ...Object.fromEntries(weights),
    ...numbers,
  });
}

async function checkForward({ folder, name, kind, executor }: Case, mode: Mode, to: Sheet): Promise<void> {
  const opened = await openJaxModel(folder, name);
  const batch = jaxBatch(await readTensors(folder, `${name}/${kind}.batch.safetensors`));
  const want = await readTensors(folder, `${name}/${kind}.${mode}.safetensors`);
  const { [kind]: scalars } = await readJson<Scalars>(folder, `${name}/scalars.json`);
  const got = await runForward(opened, batch, mode, executor);
  to.near('logits', got['logits']!, want.at('logits').data, ALLOWED.jaxLogits);
  if (mode === 'train')
    for (let layer = 0; layer < opened.model.config.layers; layer++)
      to.near('hidden states', got[`layers.${layer}.residual.h`]!, want.at(`hidden.${layer}`).data, ALLOWED.jaxHidden);
  for (const layer of opened.model.moeLayers) {
    checkDecisions(got, want, layer, to);
    checkNumbers(got, want, { layer, mode }, to);
    checkLayer({ got, batch, layer, mode }, opened, scalars![mode].moe_layers[layer]!, to);
  }
  checkLosses(opened, got, batch, scalars![mode].loss, to, '');
  if (folder.files.includes(`${name}/scalars_f64.json`)) {
    const { [kind]: double } = await readJson<Scalars>(folder, `${name}/scalars_f64.json`);
    if (double) checkLosses(opened, got, batch, double[mode].loss, to, ' (of f64)');
  }
  for (const tensor of want.unread()) to.leave(`tensor ${tensor}`);
}

/** In the reference's terms: a dropped choice has slot −1 and weight 0. */
export function checkDecisions(got: Results, want: Tensors, layer: number, to: Sheet): void {
  const ours = routed(got, layer);
  to.same('choices', ours.chosen, want.at(`moe.${layer}.top2`).data);
  to.same('kept', ours.kept, want.at(`moe.${layer}.kept`).data);
  if (!want.has(`moe.${layer}.slot`)) return;
  const slots = ours.kept.map((k, i) => (k ? ours.slot[i]! : -1));
  to.same('slots', slots, want.at(`moe.${layer}.slot`).data);
}

function checkNumbers(got: Results, want: Tensors, { layer, mode }: { layer: number; mode: Mode }, to: Sheet): void {
  const { tap, weight } = routed(got, layer);
  to.near('combine weights', weight, want.at(`moe.${layer}.combine`).data, ALLOWED.probabilities);
  to.near('router probabilities', tap('probs'), want.at(`moe.${layer}.router_probs`).data, ALLOWED.probabilities);
  if (mode === 'train') to.near('router logits', tap('logits'), want.at(`moe.${layer}.router_logits`).data, ALLOWED.jaxLogits);
}

interface LayerPass {
  readonly got: Results;
  readonly batch: Batch;
  readonly layer: number;
  readonly mode: Mode;
}

function checkLayer({ got, batch, layer, mode }: LayerPass, { model }: JaxModel, want: LayerScalars, to: Sheet): void {
  const { tap, kept, weight } = routed(got, layer);
  const { config } = model;
  const zeros = referencePadding(...batch.shape, config);
  const tokens = (batch.shape[0] + zeros.rows) * (batch.shape[1] + zeros.columns);
  const groups = groupCount(tokens, config);
  const capacity = capacityOf(tokens / groups, mode, config);
  const count = sumOf(kept);
  to.same(
    'groups and capacity',
    [groups, tokens / groups, capacity, kept.length, count],
    [want.num_groups, want.tokens_per_group, want.capacity, want.assignments, want.kept_assignments],
  );
  to.near('balance loss by layer', tap('balanceLoss'), [want.auxiliary_loss], ALLOWED.lossPart);
  to.near('router z-loss by layer', tap('routerZ'), [want.router_z_loss], ALLOWED.lossPart);
  const reached = Array.from({ length: tokens }, (_, t) => Number(sumOf(part(kept, t, tokens)) > 0));
  to.near(
    'share left behind, confidence, usage',
    [1 - sumOf(reached) / tokens, sumOf(weight) / count, count / (groups * capacity * config.experts)],
    [want.fraction_tokens_left_behind, want.router_confidence, want.expert_usage],
    ALLOWED.loss,
  );
}

/** `z_loss` is what of the total is none of the others. */
function checkLosses({ losses }: JaxModel, got: Results, batch: Batch, want: LossScalars, to: Sheet, of: string): void {
  const [total, ce, balance, z] = ['total', 'crossEntropy', 'balanceLoss', 'routerZ'].map((k) => got[k]![0]!) as [
    number,
    number,
    number,
    number,
  ];
  const [aux, routerZ] = [losses.balance * balance, losses.routerZ * z];
  to.near(`total loss${of}`, [total], [want.total], ALLOWED.loss);
  to.near(`cross-entropy${of}`, [ce], [want.cross_entropy], ALLOWED.loss);
  to.near(`z-loss${of}`, [total - ce - aux - routerZ], [want.z_loss], ALLOWED.loss);
  to.near(`router losses, weighted${of}`, [aux, routerZ], [want.auxiliary_loss_scaled, want.router_z_loss_scaled], ALLOWED.loss);
  to.same(`loss tokens${of}`, [batch.weights.filter((w) => w > 0).length], [want.loss_tokens]);
}

/** Gradients of the total loss, summed over microbatches, and that loss. */
async function checkGradients({ folder, name, kind, executor }: Case, form: string, to: Sheet): Promise<void> {
  const microbatches = form === 'grads_2_microbatches' ? 2 : 1;
  const opened = await openJaxModel(folder, name);
  const { shape, ...batch } = jaxBatch(await readTensors(folder, `${name}/${kind}.batch.safetensors`));
  const want = await readTensors(folder, `${name}/${kind}.train.${form}.safetensors`);
  const [rows, length] = shape;
  const config = {
    batch: rows / microbatches,
    length,
    accumulate: microbatches,
    losses: opened.losses,
    padded: true,
    recompute: 'none',
  } as const;
  const inputs = { ...Object.fromEntries(opened.weights), ...batch, lr: Float32Array.of(0) };
  const got = await evaluate(executor, stepProgram(opened.model, gradientInPlace, config), inputs);
  const compared = opened.model.list.filter((p) => microbatches === 1 || want.has(t5xName(p.path)));
  for (const { path } of compared) to.near('gradients', got[path]!, want.at(t5xName(path)).data, ALLOWED.gradient);
  for (const tensor of want.unread()) to.leave(`tensor ${tensor}`);
  await checkGradientScalars({ folder, name, kind, executor }, form, { ...opened, got }, to);
}

async function checkGradientScalars(c: Case, form: string, { model, losses, got }: JaxModel & { readonly got: Results }, to: Sheet) {
  const double = form === 'grads_f64';
  const { [c.kind]: all } = await readJson<Scalars>(c.folder, `${c.name}/${double ? 'scalars_f64' : 'scalars'}.json`);
  const { loss, loss_with_gradient: alone, microbatches_2: two, grads_f64_l2: lengths, grads_f64_sum: sums } = all!.train;
  const length = (path: string): number => Math.sqrt(squaredSum(got[path]!));
  if (form === 'grads_2_microbatches') {
    const totals = two!.metric_totals;
    to.near('total loss', got['total']!, [two!.sum_of_loss], ALLOWED.lossPart);
    to.near('cross-entropy', got['crossEntropy']!, [totals['cross_ent_loss']!], ALLOWED.lossPart);
    const routers = [losses.balance * got['balanceLoss']![0]!, losses.routerZ * got['routerZ']![0]!];
    to.near('router losses, weighted', routers, [totals['experts/auxiliary_loss']!, totals['experts/router_z_loss']!], ALLOWED.loss);
    for (const { path } of model.list)
      to.near('lengths of all gradients', [length(path)], [two!.grad_l2[t5xName(path)]!], ALLOWED.gradient);
    return;
  }
  to.near('total loss', got['total']!, [(alone ?? loss).total], ALLOWED.loss);
  if (!double || !lengths || !sums) return;
  for (const { path } of model.list) {
    const want = lengths[t5xName(path)]!;
    to.near('lengths of all gradients', [length(path)], [want], ALLOWED.gradient);
    to.near('sums of all gradients, in lengths', [sumOf(got[path]!) / want], [sums[t5xName(path)]! / want], ALLOWED.gradientSum);
  }
}
