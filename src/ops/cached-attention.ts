/** cached_attention: one new token of each of B rows attends to its row's cache of M tokens.   C = B·M, D = heads · head size. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

interface CachedAttrs {
  readonly heads: number;
  readonly scale: number;
}
const cachedOp = op(
  'cached_attention',
  { qkv: 'f[B,Q]', keys: 'f[C,D]', values: 'f[C,D]', angles: 'f[B,A]', positions: 'i[B]' },
  { y: 'f[B,D]', keys: 'f[C,D]', values: 'f[C,D]' },
  {
    attrs: { heads: 'count', scale: 'number' },
    updates: { keys: 'keys', values: 'values' },
    infer(x, { heads }: CachedAttrs) {
      const [cached, features] = x['keys']!.shape as [number, number];
      const [rows, wide] = x['qkv']!.shape as [number, number];
      const size = x['angles']!.shape[1]!;
      if (cached < rows || cached % rows !== 0 || wide !== 3 * features || features !== heads * size || size % 2 !== 0)
        throw new TypeError(
          `[cached_attention] ${heads} heads of ${size} do not make qkv [${rows},${wide}] and caches [${cached},${features}]`,
        );
      const cache = { dtype: 'f32', shape: [cached, features] } as const;
      return { y: { dtype: 'f32', shape: [rows, features] }, keys: cache, values: cache };
    },
  },
);
rules(cachedOp, {
  ref(x, y, { dims: { B, C, D }, attrs: { heads, scale } }) {
    const size = D / heads;
    const M = C / B;
    const half = size / 2;
    for (let n = 0; n < y.keys.length; n++) [y.keys[n], y.values[n]] = [x.keys[n]!, x.values[n]!];
    for (let b = 0; b < B; b++) {
      const last = Math.max(0, Math.min(x.positions[b]!, M - 1));
      for (let h = 0; h < heads; h++) {
        const at = (part: number): number => b * 3 * D + part * D + h * size;
        const turned = (part: number): number[] =>
          Array.from({ length: size }, (_, d) => {
            const [s, c] = [x.angles[b * size + (d % half)]!, x.angles[b * size + half + (d % half)]!];
            const [mine, other] = [x.qkv[at(part) + d]!, x.qkv[at(part) + ((d + half) % size)]!];
            return d < half ? mine * c - other * s : mine * c + other * s;
          });
        const row = (j: number): number => (b * M + j) * D + h * size;
        turned(1).forEach((value, d) => (y.keys[row(last) + d] = value));
        for (let d = 0; d < size; d++) y.values[row(last) + d] = x.qkv[at(2) + d]!;
        const q = turned(0);
        const scores = Array.from(
          { length: last + 1 },
          (_, j) => scale * q.reduce((sum, value, d) => sum + value * y.keys[row(j) + d]!, 0),
        );
        const top = Math.max(...scores);
        const weights = scores.map((s) => Math.exp(s - top));
        const total = weights.reduce((a, w) => a + w, 0);
        for (let d = 0; d < size; d++)
          y.y[b * D + h * size + d] = weights.reduce((sum, w, j) => sum + w * y.values[row(j) + d]!, 0) / total;
      }
    }
  },
  cases: [
    {
      about: 'rows at different lengths, one beyond its cache',
      inputs: { qkv: f(3, 72), keys: f(111, 24), values: f(111, 24), angles: f(3, 12), positions: exact('i32', [3], [0, 99, 20]) },
      attrs: { heads: 2, scale: 0.5 },
      tolerance: 5e-5,
    },
    {
      about: 'heads of 64',
      inputs: { qkv: f(1, 768), keys: f(9, 256), values: f(9, 256), angles: f(1, 64), positions: exact('i32', [1], [6]) },
      attrs: { heads: 4, scale: 0.05 },
      tolerance: 5e-5,
    },
  ],
});

export interface CachedAttention {
  /** [B,3D]: query, key and value of the new token of each row. */
  readonly qkv: Tensor;
  /** [B·M,D] keys already rotated. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** [B, head size] of the new tokens (`rotaryAngles`). */
  readonly angles: Tensor;
  /** i[B] where each new token stands in its row; clamped to the cache. */
  readonly positions: Tensor;
}
/** [B,D] answers, and the caches with the new tokens in them. */
export const cachedAttention = (inputs: CachedAttention, attrs: CachedAttrs): { y: Tensor; keys: Tensor; values: Tensor } =>
  cachedOp({ ...inputs }, attrs);
