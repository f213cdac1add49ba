/** Cross-entropy of every target with weights in any form, by the products that reading uses.   B rows, S tokens a row, N = B·S. */
import {
  attention,
  type Executor,
  full,
  iota,
  logsumexp,
  type Model,
  reshape,
  rope,
  sliceAxis,
  sub,
  takeLast,
  type Tensor,
  trace,
} from './vocabulary.ts';
import { forward } from './forward.ts';
import { isPacked, type Weights } from './packed.ts';
import { products, weightSpecs } from './products.ts';
import type { Rows } from './rows.ts';

export interface TokenLosses {
  /** [N] nats, of exactly `rows` rows. */
  run(rows: Pick<Rows, 'tokens' | 'targets' | 'segments'>): Promise<Float32Array>;
  close(): void;
}

/** Holds logits of all tokens at once: for vocabularies and batches of moderate size. */
export async function openTokenLosses(
  model: Model,
  executor: Executor,
  { weights, rows, length }: { readonly weights: Weights; readonly rows: number; readonly length: number },
): Promise<TokenLosses> {
  const data = { dtype: 'i32', shape: [rows, length] } as const;
  const specs = { ...weightSpecs(model, weights), tokens: data, targets: data, segments: data };
  const program = trace('cross-entropy of each token', specs, (a) => {
    const by = products(model, weights, (path) => a[path]!);
    const flat = (t: Tensor): Tensor => reshape(t, [rows * length]);
    const attend = (qkv: Tensor): Tensor => attended(model, qkv, a['segments']!);
    const hidden = forward(model, by, (path) => a[path]!, { tokens: flat(a['tokens']!), rows, length, alone: false, attend });
    const logits = by.head(hidden); // [N,V]
    const right = takeLast(logits, reshape(a['targets']!, [rows * length, 1]));
    return { results: { perToken: sub(flat(logsumexp(logits)), flat(right)) } };
  });
  const loaded = await executor.load(program);
  const buffers = { tokens: executor.zeros(data), targets: executor.zeros(data), segments: executor.zeros(data) };
  return {
    async run(batch) {
      for (const key of ['tokens', 'targets', 'segments'] as const) executor.write(buffers[key], batch[key]);
      const resident = isPacked(weights) ? weights.buffers : weights;
      return executor.get((await loaded.run({ ...resident, ...buffers }))['perToken']!) as Float32Array;
    },
    close: () => loaded.close(),
  };
}

function attended({ config: { heads, headSize, ropeTheta: theta } }: Model, qkv: Tensor, segments: Tensor): Tensor {
  const [rows, length] = segments.shape as [number, number];
  const width = heads * headSize;
  const [q, k, v] = [0, 1, 2].map((part) => sliceAxis(qkv, 1, { from: part * width, size: width })) as [Tensor, Tensor, Tensor];
  const positions = reshape(iota([rows, length], 1), [rows * length]);
  const byRow = (x: Tensor): Tensor => reshape(x, [rows, length, width]);
  const turned = (x: Tensor): Tensor => byRow(rope(x, positions, { heads, theta }));
  const inputs = { q: turned(q), k: turned(k), v: byRow(v), querySegments: segments, keySegments: segments, start: full([], 0, 'i32') };
  return reshape(attention(inputs, { heads, scale: 1 }), [rows * length, width]);
}
