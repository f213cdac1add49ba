/** Parameters, optimizer state and the loaded step of one run, resident with the executor. */
import { invariant } from '../base/index.ts';
import type { LayerNews } from './events.ts';
import { makeOptimizer } from './optimizers/index.ts';
import type { Recipe } from './recipe.ts';
import { learningRate } from './schedule.ts';
import { slotName, stepConfig, stepProgram } from './step.ts';
import type { Batch } from '../data/index.ts';
import { type Buffer, type Buffers, type Executor, type Model, type Shape, sizeOf, type Timed, type Timeline } from './vocabulary.ts';

/** Values by parameter path, and by `path/slot`. */
export interface Snapshot {
  readonly parameters: ReadonlyMap<string, Float32Array>;
  readonly slots: ReadonlyMap<string, Float32Array>;
}

export interface StepResult {
  readonly loss: number;
  readonly crossEntropy: number;
  readonly learningRate: number;
  readonly layers: readonly LayerNews[];
}

export interface Session {
  /** Weights by path: what an evaluator runs on. */
  readonly weights: Buffers;
  readonly memory: { readonly parameters: number; readonly optimizer: number; readonly arena: number };
  /** Trains on one batch as step number `step` (from 0). When `signal` aborts, state may be half updated: restore before going on. */
  step(batch: Batch, step: number, signal?: AbortSignal): Promise<StepResult>;
  /** Overwrites all state; slots left out become zero. */
  restore(state: Snapshot | { readonly parameters: Snapshot['parameters'] }): void;
  /** Copies one parameter or slot out. */
  read(name: string): Float32Array;
  /** The step's instructions with their mean times since this was last asked; empty where the executor does not measure. */
  profile(): readonly Timed[];
  /** Makes the next step a timeline, where the executor can. */
  record(): void;
  /** The step recorded last; undefined where the executor records none. */
  timeline(): Timeline | undefined;
  /** Every slot with its shape, in order. */
  readonly slots: ReadonlyMap<string, Shape>;
  close(): void;
}

export async function openSession(model: Model, recipe: Recipe, executor: Executor): Promise<Session> {
  const optimizer = makeOptimizer(recipe.optimizer);
  const loaded = await executor.load(stepProgram(model, optimizer, stepConfig(recipe)));
  const spec = (shape: Shape, dtype: 'f32' | 'i32' = 'f32') => executor.zeros({ shape, dtype });
  const weights: Record<string, Buffer> = Object.fromEntries(model.list.map((p) => [p.path, spec(p.shape)]));
  const slots = new Map(
    model.list.flatMap((p) => Object.entries(optimizer.slots(p)).map(([s, shape]) => [slotName(p.path, s), shape] as const)),
  );
  const state: Record<string, Buffer> = Object.fromEntries([...slots].map(([name, shape]) => [name, spec(shape)]));
  const rows = [recipe.train.batch * recipe.train.accumulate, recipe.data.length];
  const data = { tokens: spec(rows, 'i32'), targets: spec(rows, 'i32'), segments: spec(rows, 'i32'), weights: spec(rows) };
  const scalars: Record<string, Buffer> = Object.fromEntries(['lr', ...Object.keys(optimizer.scalars(0))].map((k) => [k, spec([])]));
  const bytes = (buffers: Buffers): number => Object.values(buffers).reduce((n, b) => n + b.bytes, 0);
  return {
    weights,
    slots,
    memory: { parameters: bytes(weights), optimizer: bytes(state), arena: loaded.memory },
    async step(batch, step, signal) {
      for (const key of ['tokens', 'targets', 'segments', 'weights'] as const) executor.write(data[key], batch[key]);
      const lr = learningRate(recipe.schedule, step);
      for (const [k, value] of Object.entries({ lr, ...optimizer.scalars(step) })) executor.write(scalars[k]!, Float32Array.of(value));
      const results = await loaded.run({ ...weights, ...state, ...data, ...scalars }, signal);
      return { ...readNews(executor, model, results, recipe.train.accumulate), learningRate: lr };
    },
    restore(from) {
      for (const p of model.list) executor.write(weights[p.path]!, checked(from.parameters.get(p.path), p.path, p.shape));
      for (const [name, shape] of slots)
        executor.write(state[name]!, 'slots' in from ? checked(from.slots.get(name), name, shape) : new Float32Array(sizeOf(shape)));
    },
    read: (name) => executor.get((weights[name] ?? state[name])!) as Float32Array,
    profile: () => loaded.profile?.() ?? [],
    record: () => loaded.record?.(),
    timeline: () => loaded.timeline?.(),
    close: () => loaded.close(),
  };
}

function checked(values: Float32Array | undefined, name: string, shape: Shape): Float32Array {
  invariant(values?.length === sizeOf(shape), `state ${name}: expected ${sizeOf(shape)} values, got ${values?.length}`);
  return values;
}

function readNews(executor: Executor, model: Model, results: Buffers, parts: number): Omit<StepResult, 'learningRate'> {
  const numbers = (name: string): Float32Array => executor.get(results[name]!) as Float32Array;
  const joined = <T extends Float32Array | Int32Array>(make: (length: number) => T, tap: string): T => {
    const pieces = Array.from({ length: parts }, (_, n) => executor.get(results[`micro.${n}.${tap}`]!) as T);
    if (parts === 1) return pieces[0]!;
    const whole = make(pieces.reduce((n, p) => n + p.length, 0));
    pieces.reduce((at, p) => (whole.set(p, at), at + p.length), 0);
    return whole;
  };
  const mean = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / parts;
  const layers = model.moeLayers.map((layer): LayerNews => {
    const tap = (name: string): string => `layers.${layer}.router.${name}`;
    const floats = (name: string): Float32Array => joined((n) => new Float32Array(n), tap(name));
    const integers = (name: string): Int32Array => joined((n) => new Int32Array(n), tap(name));
    return {
      layer,
      balanceLoss: mean(floats('balanceLoss')),
      routerZ: mean(floats('routerZ')),
      chosen: integers('chosen'),
      gates: floats('gates'),
      kept: integers('kept'),
    };
  });
  return { loss: numbers('total')[0]! / parts, crossEntropy: numbers('crossEntropy')[0]! / parts, layers };
}
