/** A training trace: `trace/trace.json`, its batches, and parameters after some of its steps. */
import { adafactorSettings } from './jax-optimizer.ts';
import { jaxBatch, type JaxModel, openJaxModel, t5xName } from './jax-model.ts';
import { filesIn, type FixtureFolder, readJson, readTensors } from './reading.ts';
import { ALLOWED, type Fixture, type Numbers, type Sheet } from './row.ts';
import { evaluate, gradientInPlace, squaredSum, sumOf } from './running.ts';
import { adafactor, type Buffer, type Executor, learningRate, stepProgram, type StepConfig } from './vocabulary.ts';

interface Step {
  readonly learning_rate: number;
  readonly total: number;
  readonly cross_entropy: number;
  readonly z_loss: number;
  readonly auxiliary_loss_scaled: number;
  readonly router_z_loss_scaled: number;
  readonly kept_assignments?: Readonly<Record<string, number>>;
  readonly grad_l2?: number;
}
interface Trace {
  readonly model: string;
  readonly steps: readonly Step[];
}

/** What the reference was run with (its README): every matrix below this is unfactored, and the rate is flat for 10,000 steps. */
const [MIN_DIM_TO_FACTOR, WARMUP] = [128, 10_000];

export function traceFixture(folder: FixtureFolder, executor: Executor): Fixture {
  const files = ['trace.json', 'trace_f64.json', 'batches.safetensors'].map((f) => `trace/${f}`);
  return {
    name: 'trace',
    files: [...files, ...parameterFiles(folder).map((f) => `trace/${f}`)],
    run: (to) => checkTrace(folder, executor, to),
  };
}

const parameterFiles = (folder: FixtureFolder): string[] => filesIn(folder, 'trace').filter((f) => /^params_step\d+\.safetensors$/.test(f));

async function checkTrace(folder: FixtureFolder, executor: Executor, to: Sheet): Promise<void> {
  const { model: name, steps } = await readJson<Trace>(folder, 'trace/trace.json');
  const double = folder.files.includes('trace/trace_f64.json') ? (await readJson<Trace>(folder, 'trace/trace_f64.json')).steps : [];
  const opened = await openJaxModel(folder, name);
  const saved = new Map(parameterFiles(folder).map((f) => [Number(/\d+/.exec(f)![0]), `trace/${f}`]));
  const training = await openTraining(opened, await readTensors(folder, 'trace/batches.safetensors'), executor);
  for (const [n, want] of steps.entries()) {
    if (want.grad_l2 !== undefined) to.near('gradient lengths', [await training.gradientLength(n)], [want.grad_l2], ALLOWED.trace);
    const got = await training.step(n);
    to.near('learning rate', [got.rate], [want.learning_rate], ALLOWED.module);
    compareLosses(opened, got.results, want, to, '');
    if (double[n]) compareLosses(opened, got.results, double[n], to, ' (of f64)');
    for (const [layer, count] of Object.entries(want.kept_assignments ?? {}))
      to.same(
        'kept assignments',
        [sumOf(got.results[`micro.0/layers.${layer}.router.kept`] ?? got.results[keptName(got.results, layer)]!)],
        [count],
      );
    const path = saved.get(n + 1);
    if (path) await compareParameters(opened, training.read, { folder, path, done: n + 1 }, to);
  }
  training.close();
}

const keptName = (results: Readonly<Record<string, Numbers>>, layer: string): string =>
  Object.keys(results).find((k) => k.endsWith(`layers.${layer}.router.kept`))!;

function compareLosses({ losses }: JaxModel, got: Readonly<Record<string, Numbers>>, want: Step, to: Sheet, of: string): void {
  const [total, ce] = [got['total']![0]!, got['crossEntropy']![0]!];
  const [aux, z] = [losses.balance * got['balanceLoss']![0]!, losses.routerZ * got['routerZ']![0]!];
  to.near(`total loss${of}`, [total], [want.total], ALLOWED.trace);
  to.near(`cross-entropy${of}`, [ce], [want.cross_entropy], ALLOWED.trace);
  to.near(`z-loss${of}`, [total - ce - aux - z], [want.z_loss], ALLOWED.loss);
  to.near(`router losses, weighted${of}`, [aux, z], [want.auxiliary_loss_scaled, want.router_z_loss_scaled], ALLOWED.loss);
}

interface SavedParameters {
  readonly folder: FixtureFolder;
  readonly path: string;
  readonly done: number;
}
async function compareParameters({ model }: JaxModel, read: (path: string) => Numbers, { folder, path, done }: SavedParameters, to: Sheet) {
  const want = await readTensors(folder, path);
  for (const p of model.list)
    if (want.has(t5xName(p.path))) to.near(`parameters after ${done}`, read(p.path), want.at(t5xName(p.path)).data, ALLOWED.trace);
  for (const tensor of want.unread()) to.leave(`${path}: tensor ${tensor}`);
}

interface Training {
  gradientLength(n: number): Promise<number>;
  step(n: number): Promise<{ readonly rate: number; readonly results: Readonly<Record<string, Numbers>> }>;
  read(path: string): Numbers;
  close(): void;
}

async function openTraining(
  { model, losses, weights }: JaxModel,
  batches: Parameters<typeof jaxBatch>[0],
  executor: Executor,
): Promise<Training> {
  const { shape } = jaxBatch(batches, 0);
  const config: StepConfig = { batch: shape[0], length: shape[1], accumulate: 1, losses, padded: true, recompute: 'none' };
  const optimizer = adafactor(adafactorSettings(MIN_DIM_TO_FACTOR));
  const program = stepProgram(model, optimizer, config);
  const probe = stepProgram(model, gradientInPlace, config);
  const loaded = await executor.load(program);
  const buffers: Record<string, Buffer> = Object.fromEntries(
    program.arguments.map((a) => [a.name, weights.has(a.name) ? executor.put(weights.get(a.name)!, a) : executor.zeros(a)]),
  );
  const read = (path: string): ReturnType<Executor['get']> => executor.get(buffers[path]!);
  return {
    async gradientLength(n) {
      const { shape: _, ...batch } = jaxBatch(batches, n);
      const now = Object.fromEntries(model.list.map(({ path }) => [path, read(path)]));
      const got = await evaluate(executor, probe, { ...now, ...batch, lr: Float32Array.of(0) });
      return Math.sqrt(sumOf(model.list.map(({ path }) => squaredSum(got[path]!))));
    },
    async step(n) {
      const { shape: _, ...batch } = jaxBatch(batches, n);
      for (const [key, numbers] of Object.entries(batch)) executor.write(buffers[key]!, numbers);
      const rate = learningRate({ kind: 'rsqrt', base: 1, warmup: WARMUP }, n);
      executor.write(buffers['lr']!, Float32Array.of(rate));
      executor.write(buffers['decay']!, Float32Array.of(optimizer.scalars(n)['decay']!));
      const results = await loaded.run(buffers);
      const small = Object.entries(results).filter(([k]) => !model.list.some((p) => k === p.path || k.startsWith(`${p.path}/`)));
      return { rate, results: Object.fromEntries(small.map(([k, b]) => [k, executor.get(b)])) };
    },
    read,
    close: () => loaded.close(),
  };
}
