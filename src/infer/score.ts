/** Cross-entropy of packed rows by any form of weights, to compare them: what rounding weights costs.   B rows, S tokens a row, N = B·S, V vocabulary. */
import { forward } from './forward.ts';
import { buffersOf, type Weights } from './packed.ts';
import { products, weightSpecs } from './products.ts';
import type { Rows } from './rows.ts';
import {
  attention,
  type Buffers,
  type Executor,
  full,
  iota,
  logsumexp,
  type Model,
  type Program,
  reshape,
  rope,
  sliceAxis,
  sub,
  takeLast,
  type Tensor,
  trace,
} from './vocabulary.ts';

export interface ScorerConfig {
  readonly rows: number;
  readonly length: number;
}

export interface Scorer {
  /** [N] nats of each target, in batches of exactly `rows` rows without padding; a routing group is what the config makes of them. */
  run(rows: Pick<Rows, 'tokens' | 'targets' | 'segments'>, signal?: AbortSignal): Promise<Float32Array>;
  close(): void;
}

/** Holds logits [N,V] in memory: meant for measurements, not for training. */
export async function openScorer(model: Model, executor: Executor, weights: Weights, c: ScorerConfig): Promise<Scorer> {
  const loaded = await executor.load(scoringProgram(model, weights, c));
  const zeros = () => executor.zeros({ dtype: 'i32', shape: [c.rows, c.length] });
  const data = { tokens: zeros(), targets: zeros(), segments: zeros() };
  const inputs: Buffers = { ...buffersOf(weights), ...data };
  return {
    async run(rows, signal) {
      for (const key of ['tokens', 'targets', 'segments'] as const) executor.write(data[key], rows[key]);
      return executor.get((await loaded.run(inputs, signal))['perToken']!) as Float32Array;
    },
    close: () => loaded.close(),
  };
}

function scoringProgram(model: Model, weights: Weights, { rows, length }: ScorerConfig): Program {
  const { heads, headSize, ropeTheta: theta } = model.config;
  const [n, width] = [rows * length, heads * headSize];
  const each = { shape: [rows, length], dtype: 'i32' as const };
  return trace('score', { ...weightSpecs(model, weights), tokens: each, targets: each, segments: each }, (a) => {
    const positions = reshape(iota([rows, length], 1), [n]);
    const by = products(model, weights, (path) => a[path]!);
    const attend = (qkv: Tensor): Tensor => {
      const part = (at: number): Tensor => sliceAxis(qkv, 1, { from: at * width, size: width });
      const inRows = (x: Tensor): Tensor => reshape(x, [rows, length, width]);
      const turned = (x: Tensor): Tensor => inRows(rope(x, positions, { heads, theta }));
      const segments = { querySegments: a['segments']!, keySegments: a['segments']!, start: full([], 0, 'i32') };
      return reshape(attention({ q: turned(part(0)), k: turned(part(1)), v: inRows(part(2)), ...segments }, { heads, scale: 1 }), [
        n,
        width,
      ]);
    };
    const tokens = reshape(a['tokens']!, [n]);
    const logits = by.head(forward(model, by, (path) => a[path]!, { tokens, rows, length, alone: false, attend }));
    const target = reshape(takeLast(logits, reshape(a['targets']!, [n, 1])), [n]);
    return { results: { perToken: sub(logsumexp(logits), target) } };
  });
}
