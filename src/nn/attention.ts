/** Causal multi-head attention with rotary positions.   B rows, S tokens a row, N = B·S, H hidden, D = heads · head size. */
import { roundBf16 } from '../base/index.ts';
import { attention, cast, type FloatType, full, matmul, reshape, rope, type Tensor } from '../ops/index.ts';
import { layer, scaledNormal } from './param.ts';

export interface AttentionConfig {
  readonly hidden: number;
  readonly heads: number;
  readonly headSize: number;
  readonly ropeTheta: number;
  readonly initScale: number;
}

export interface AttentionInput {
  /** [N,H]; its type is that of the products, queries, keys, values and the softmax are f32. */
  readonly x: Tensor;
  /** i[N] index within the row. */
  readonly positions: Tensor;
  /** i[B,S]; 0 is padding. */
  readonly segments: Tensor;
}

export const attentionLayer = (c: AttentionConfig) => {
  const width = c.heads * c.headSize;
  const project = scaledNormal([c.hidden, width], ['embed', 'joined_kv'], c.initScale);
  return layer({
    params: {
      // No 1/√d on the scores: it is folded into the initialisation of the query (T5; reference 2.3, 4.1), which divides by √hd rounded to
      // bfloat16: 11.3125 for 128.
      query: { ...project, init: { kind: 'normal', std: Math.sqrt(c.initScale / c.hidden) / roundBf16(Math.sqrt(c.headSize)) } },
      key: project,
      value: project,
      out: scaledNormal([width, c.hidden], ['joined_kv', 'embed'], c.initScale),
    },
    apply(p, { x, positions, segments }: AttentionInput): Tensor {
      const rotation = { heads: c.heads, theta: c.ropeTheta };
      const q = rope(matmul(x, p.query), positions, rotation); // [N,D]
      const k = rope(matmul(x, p.key), positions, rotation);
      const v = matmul(x, p.value);
      const rows = (t: Tensor): Tensor => reshape(t, [...segments.shape, width]); // [B,S,D]
      const y = attention(
        { q: rows(q), k: rows(k), v: rows(v), querySegments: segments, keySegments: segments, start: full([], 0, 'i32') },
        { heads: c.heads, scale: 1 },
      );
      return matmul(cast(reshape(y, q.shape), x.dtype as FloatType), p.out);
    },
  });
};
