/** Evaluation: cross-entropy of each target and router taps of packed rows, without gradients.   B rows, S tokens a row, N = B·S. */
import { type Buffers, type Executor, losses, type Mode, type Model, type Program, trace } from './vocabulary.ts';
import type { Rows } from './rows.ts';

export interface Evaluated {
  /** [N] nats; empty unless losses were asked for. */
  readonly perToken: Float32Array;
  /** Per MoE layer, [N·K] slots in order of preference. */
  readonly layers: readonly {
    readonly layer: number;
    readonly chosen: Int32Array;
    readonly gates: Float32Array;
    readonly kept: Int32Array;
  }[];
}

export interface EvaluatorConfig {
  readonly rows: number;
  readonly length: number;
  /** Which capacity factor holds. */
  readonly mode: Mode;
  readonly padded: boolean;
  /** What to keep: the cross-entropy of each target, and what each router chose. */
  readonly losses: boolean;
  readonly routing: boolean;
}

export interface Evaluator {
  /** Runs one batch of exactly `rows` rows through weights by path. */
  run(weights: Buffers, rows: Omit<Rows, 'domains'>, signal?: AbortSignal): Promise<Evaluated>;
  /** Arena and scratch in bytes. */
  readonly memory: number;
  close(): void;
}

export async function openEvaluator(model: Model, executor: Executor, c: EvaluatorConfig): Promise<Evaluator> {
  const loaded = await executor.load(evaluationProgram(model, c));
  const spec = (dtype: 'i32' | 'f32') => ({ dtype, shape: [c.rows, c.length] });
  const data = {
    tokens: executor.zeros(spec('i32')),
    targets: executor.zeros(spec('i32')),
    segments: executor.zeros(spec('i32')),
    weights: executor.zeros(spec('f32')),
  };
  return {
    async run(weights, rows, signal) {
      for (const key of ['tokens', 'targets', 'segments', 'weights'] as const) executor.write(data[key], rows[key]);
      return read(executor, model, await loaded.run({ ...weights, ...data }, signal));
    },
    memory: loaded.memory,
    close: () => loaded.close(),
  };
}

function read(executor: Executor, model: Model, results: Buffers): Evaluated {
  const get = <T>(name: string): T => executor.get(results[name]!) as T;
  const layers = model.moeLayers.flatMap((layer) => {
    const at = `layers.${layer}.router`;
    if (!results[`${at}.chosen`]) return [];
    return [
      { layer, chosen: get<Int32Array>(`${at}.chosen`), gates: get<Float32Array>(`${at}.gates`), kept: get<Int32Array>(`${at}.kept`) },
    ];
  });
  return { perToken: results['perToken'] ? get('perToken') : new Float32Array(0), layers };
}

function evaluationProgram(model: Model, c: EvaluatorConfig): Program {
  const rows = [c.rows, c.length];
  const specs = {
    ...Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' as const }])),
    tokens: { shape: rows, dtype: 'i32' as const },
    targets: { shape: rows, dtype: 'i32' as const },
    segments: { shape: rows, dtype: 'i32' as const },
    weights: { shape: rows },
  };
  const noLosses = { z: 0, balance: 0, routerZ: 0 };
  return trace(
    `evaluation, ${c.mode} capacity`,
    specs,
    (a) => {
      const batch = { tokens: a['tokens']!, targets: a['targets']!, segments: a['segments']!, weights: a['weights']! };
      const { perToken } = losses(model, (path) => a[path]!, { batch, config: noLosses, mode: c.mode, padded: c.padded });
      // Without losses the projection to the vocabulary is dead code: a router never sees it.
      return { results: c.losses ? { perToken } : {} };
    },
    (tap) => c.routing && /\.router\.(chosen|gates|kept)$/.test(tap),
  );
}
