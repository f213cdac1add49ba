/** Adafactor alone: `adafactor/runs.json` with the parameters, gradients and statistics of each run. */
import { type FixtureFolder, readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Numbers, type Sheet } from './row.ts';
import {
  adafactor,
  type ArgumentSpec,
  type Axis,
  type Buffer,
  type Executor,
  learningRate,
  type Optimizer,
  type ParamInfo,
  type Program,
  slotName,
  trace,
} from './vocabulary.ts';

interface Run {
  readonly min_dim_size_to_factor: number;
  readonly warmup_steps: number;
  readonly steps: number;
  readonly saved_after_steps: readonly number[];
  readonly learning_rates: readonly number[];
  readonly beta2: readonly number[];
  readonly slots: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly inputs: string;
  readonly axes: Readonly<Record<string, readonly string[]>>;
}

/** T5X names the same axes with the layer that they belong to. */
const AXES: Readonly<Record<string, Axis>> = {
  embed: 'embed',
  mlp_embed: 'embed',
  mlp: 'mlp',
  expert_mlp: 'mlp',
  joined_kv: 'joined_kv',
  vocab: 'vocab',
  expert: 'expert',
  unmodeled: 'unmodeled',
};

/** Reference 5.1. */
export const adafactorSettings = (minDimToFactor: number) => ({ decayRate: 0.8, eps1: 1e-30, eps2: 1e-3, clip: 1, minDimToFactor });

export async function adafactorFixtures(folder: FixtureFolder, executor: Executor): Promise<Fixture[]> {
  const runs = await readJson<Readonly<Record<string, Run>>>(folder, 'adafactor/runs.json');
  return Object.entries(runs).map(([name, run]) => ({
    name: `adafactor ${name}`,
    files: [
      `${name}.safetensors`,
      `${run.inputs}.params.safetensors`,
      `${run.inputs}.grads.safetensors`,
      'runs.json',
      'f32_minus_f64.json',
    ].map((f) => `adafactor/${f}`),
    run: (to) => checkRun({ folder, name, run, executor }, to),
  }));
}

interface RunCase {
  readonly folder: FixtureFolder;
  readonly name: string;
  readonly run: Run;
  readonly executor: Executor;
}

async function checkRun({ folder, name, run, executor }: RunCase, to: Sheet): Promise<void> {
  const values = await readTensors(folder, `adafactor/${run.inputs}.params.safetensors`);
  const grads = await readTensors(folder, `adafactor/${run.inputs}.grads.safetensors`);
  const saved = await readTensors(folder, `adafactor/${name}.safetensors`);
  const optimizer = adafactor(adafactorSettings(run.min_dim_size_to_factor));
  const params = Object.entries(run.axes).map(([path, axes]) => ({ path, shape: values.at(path).shape, axes: axes.map((a) => AXES[a]!) }));
  checkSchedule(run, optimizer, to);
  for (const p of params) checkSlots(optimizer.slots(p), run.slots[p.path]!, to);
  const program = updateProgram(optimizer, params);
  const loaded = await executor.load(program);
  const buffers: Record<string, Buffer> = Object.fromEntries(
    program.arguments.map((a) => [a.name, values.has(a.name) ? executor.put(values.f32(a.name), a) : executor.zeros(a)]),
  );
  for (let step = 0; step < run.steps; step++) {
    for (const { path } of params) executor.write(buffers[gradName(path)]!, gradientAt(grads, path, step));
    executor.write(buffers['lr']!, Float32Array.of(rateOf(run, step)));
    executor.write(buffers['decay']!, Float32Array.of(optimizer.scalars(step)['decay']!));
    await loaded.run(buffers);
    if (run.saved_after_steps.includes(step + 1)) checkState(step + 1, saved, (key) => executor.get(buffers[key]!), to);
  }
  loaded.close();
  for (const tensor of saved.unread()) to.leave(`tensor ${tensor}`);
}

const rateOf = (run: Run, step: number): number => learningRate({ kind: 'rsqrt', base: 1, warmup: run.warmup_steps }, step);

function checkSchedule(run: Run, optimizer: Optimizer, to: Sheet): void {
  const steps = Array.from({ length: run.steps }, (_, step) => step);
  to.near(
    'learning rates',
    steps.map((s) => rateOf(run, s)),
    run.learning_rates,
    ALLOWED.module,
  );
  to.near(
    'β2',
    steps.map((s) => optimizer.scalars(s)['decay']!),
    run.beta2,
    ALLOWED.module,
  );
}

function checkSlots(
  ours: Readonly<Record<string, readonly number[]>>,
  theirs: Readonly<Record<string, readonly number[]>>,
  to: Sheet,
): void {
  const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  for (const name of names) to.same('shapes of statistics', ours[name] ?? [], theirs[name] ?? []);
}

function checkState(done: number, saved: Tensors, read: (key: string) => Numbers, to: Sheet): void {
  for (const name of saved.names.filter((n) => n.startsWith(`${done}/`))) {
    const key = name.slice(`${done}/`.length);
    if (/\/v(_row|_col)?$/.test(key)) to.near('statistics', read(key), saved.at(name).data, ALLOWED.statistics);
    else to.near('parameters', read(key), saved.at(name).data, ALLOWED.trace);
  }
}

const gradName = (path: string): string => `${path}/grad`;

function gradientAt(grads: Tensors, path: string, step: number): Float32Array {
  const { shape, data } = grads.at(path);
  const size = data.length / shape[0]!;
  return Float32Array.from(data.slice(step * size, (step + 1) * size));
}

/** One update of every parameter, gradients given. */
function updateProgram(optimizer: Optimizer, params: readonly ParamInfo[]): Program {
  const state = params.flatMap((p) =>
    Object.entries(optimizer.slots(p)).map(([s, shape]): [string, ArgumentSpec] => [slotName(p.path, s), { shape, role: 'state' }]),
  );
  const specs: Record<string, ArgumentSpec> = {
    ...Object.fromEntries(params.map((p) => [p.path, { shape: p.shape, role: 'parameter' as const }])),
    ...Object.fromEntries(params.map((p) => [gradName(p.path), { shape: p.shape }])),
    ...Object.fromEntries(state),
    lr: { shape: [] },
    decay: { shape: [] },
  };
  return trace('update', specs, (a) => {
    const results = params.flatMap((p) => {
      const slots = Object.fromEntries(Object.keys(optimizer.slots(p)).map((s) => [s, a[slotName(p.path, s)]!]));
      const made = optimizer.update(p, { w: a[p.path]!, g: a[gradName(p.path)]!, slots, lr: a['lr']!, scalars: { decay: a['decay']! } });
      return [[p.path, made.w] as const, ...Object.entries(made.slots).map(([s, t]) => [slotName(p.path, s), t] as const)];
    });
    return { results: Object.fromEntries(results), updates: Object.fromEntries(results.map(([name]) => [name, name])) };
  });
}
