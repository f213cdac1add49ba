/** Causal multi-head attention with rotary positions.   B rows, S tokens a row, N = B·S, H hidden, D = heads · head size. */
import { roundBf16 } from '../base/index.ts';
import { attention, cast, dynamicUpdateSlice, type FloatType, matmul, reshape, rope, type Tensor } from '../ops/index.ts';
import { layer, scaledNormal } from './param.ts';

export interface AttentionConfig {
  readonly hidden: number;
  readonly heads: number;
  readonly headSize: number;
  readonly ropeTheta: number;
  readonly initScale: number;
}

/** Keys and values of what was read before: [M,D] each, M the longest context. */
export interface Cache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

export interface AttentionInput {
  /** [N,H]; its type is that of the products, queries, keys, values and the softmax are f32. */
  readonly x: Tensor;
  /** i[N] index within the row. */
  readonly positions: Tensor;
  /** i[B,S] of the queries and i[B,S or M] of the keys; 0 is padding. */
  readonly segments: Tensor;
  readonly keySegments: Tensor;
  /** i[] position of the first query. */
  readonly start: Tensor;
  readonly cache: Cache | undefined;
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
    apply(p, { x, positions, segments, keySegments, start, cache }: AttentionInput): { y: Tensor; cache: Cache | undefined } {
      const rotation = { heads: c.heads, theta: c.ropeTheta };
      const q = rope(matmul(x, p.query), positions, rotation); // [N,D]
      const k = rope(matmul(x, p.key), positions, rotation);
      const v = matmul(x, p.value);
      const grown = cache && { keys: dynamicUpdateSlice(cache.keys, k, start), values: dynamicUpdateSlice(cache.values, v, start) };
      const rows = (t: Tensor, like: Tensor): Tensor => reshape(t, [...like.shape, width]); // [B,S,D]
      const y = attention(
        {
          q: rows(q, segments),
          k: rows(grown?.keys ?? k, keySegments),
          v: rows(grown?.values ?? v, keySegments),
          querySegments: segments,
          keySegments,
          start,
        },
        { heads: c.heads, scale: 1 },
      );
      return { y: matmul(cast(reshape(y, q.shape), x.dtype as FloatType), p.out), cache: grown };
    },
  });
};
