/** Programs that read tokens into a cache: a stretch of one row, or one token of every row.   B rows, M context, n tokens, V vocabulary. */
import {
  add,
  attention,
  cachedAttention,
  dynamicUpdateSlice,
  full,
  gather,
  iota,
  type Model,
  mul,
  type Program,
  reshape,
  rope,
  rotaryAngles,
  sliceAxis,
  type Tensor,
  topk,
  trace,
} from './vocabulary.ts';
import { forward } from './forward.ts';
import type { Weights } from './packed.ts';
import { products, weightSpecs } from './products.ts';

export interface ReadingConfig {
  readonly model: Model;
  readonly weights: Weights;
  /** B. */
  readonly rows: number;
  /** M. */
  readonly context: number;
  /** Whether to say which experts read each token. */
  readonly routing: boolean;
  /** Whether each row is a routing group of its own, or what is read of all rows at once goes where the model's config has it. */
  readonly group: 'row' | 'batch';
}

export type Args = Readonly<Record<string, Tensor>>;
export type Grown = Record<string, Tensor>;

export const cacheNames = (model: Model): string[] =>
  Array.from({ length: model.config.layers }, (_, i) => [`cache.${i}.keys`, `cache.${i}.values`]).flat();
/** [B·M, D]. */
export const cacheShape = ({ model: { config }, rows, context }: ReadingConfig): [number, number] => [
  rows * context,
  config.heads * config.headSize,
];

export const taps = (c: ReadingConfig) => (tap: string) => c.routing && /\.router\.(chosen|gates|kept)$/.test(tap);

export const specsOf = (c: ReadingConfig) => ({
  ...weightSpecs(c.model, c.weights),
  ...Object.fromEntries(cacheNames(c.model).map((name) => [name, { shape: cacheShape(c), role: 'state' as const }])),
});

/** Results: logits [rows,V], their largest by row, and the caches in place. */
export function results(hidden: Tensor, head: (x: Tensor) => Tensor, grown: Grown) {
  const logits = head(hidden);
  const best = topk(logits, 1).indices;
  return { results: { logits, best, ...grown }, updates: Object.fromEntries(Object.keys(grown).map((name) => [name, name])) };
}

/** Reads i[B] tokens, one a row, each at its own of i[B] positions; alone, rows do not touch each other in routing either. */
export function stepProgram(c: ReadingConfig): Program {
  const { config } = c.model;
  const specs = {
    ...specsOf(c),
    tokens: { shape: [c.rows], dtype: 'i32' as const },
    positions: { shape: [c.rows], dtype: 'i32' as const },
  };
  return trace(
    `read a token of ${c.rows} rows`,
    specs,
    (a) => {
      const by = products(c.model, c.weights, (path) => a[path]!);
      const angles = rotaryAngles(a['positions']!, { size: config.headSize, theta: config.ropeTheta });
      const grown: Grown = {};
      const attend = (qkv: Tensor, layer: number): Tensor => {
        const [keys, values] = [`cache.${layer}.keys`, `cache.${layer}.values`];
        const caches = { keys: a[keys]!, values: a[values]! };
        const answer = cachedAttention({ qkv, ...caches, angles, positions: a['positions']! }, { heads: config.heads, scale: 1 });
        [grown[keys], grown[values]] = [answer.keys, answer.values];
        return answer.y;
      };
      const hidden = forward(c.model, by, (path) => a[path]!, {
        tokens: a['tokens']!,
        rows: c.rows,
        length: 1,
        alone: c.group === 'row',
        attend,
      });
      return results(hidden, (x) => by.head(x), grown);
    },
    taps(c),
  );
}

/** Reads i[n] tokens into row i[] `row` from position i[] `start` on: one routing group, the logits of the last. */
export function stretchProgram(c: ReadingConfig, n: number): Program {
  const one = { shape: [], dtype: 'i32' as const };
  const specs = { ...specsOf(c), tokens: { shape: [n], dtype: 'i32' as const }, row: one, start: one };
  return trace(
    `read ${n} tokens of a row`,
    specs,
    (a) => {
      const by = products(c.model, c.weights, (path) => a[path]!);
      const grown: Grown = {};
      const attend = (qkv: Tensor, layer: number): Tensor => attendStretch(c, a, qkv, { layer, grown });
      const hidden = forward(c.model, by, (path) => a[path]!, { tokens: a['tokens']!, rows: 1, length: n, alone: false, attend });
      return results(sliceAxis(hidden, 0, { from: n - 1, size: 1 }), (x) => by.head(x), grown);
    },
    taps(c),
  );
}

/** Queries, keys and values [N,D] of [N,3D]. */
export const inThree = (qkv: Tensor, width: number): [Tensor, Tensor, Tensor] =>
  [0, 1, 2].map((part) => sliceAxis(qkv, 1, { from: part * width, size: width })) as [Tensor, Tensor, Tensor];

/** Puts x [B·n,D] of n places of every row into the cache `name` behind i[] `place`, and returns it. */
export function keepRows(c: ReadingConfig, a: Args, grown: Grown, { name, x, place }: { name: string; x: Tensor; place: Tensor }): Tensor {
  const n = x.shape[0]! / c.rows;
  let cache = a[name]!;
  for (let r = 0; r < c.rows; r++) cache = dynamicUpdateSlice(cache, sliceAxis(x, 0, { from: r * n, size: n }), add(place, r * c.context));
  return (grown[name] = cache);
}

function attendStretch(c: ReadingConfig, a: Args, qkv: Tensor, { layer, grown }: { layer: number; grown: Grown }): Tensor {
  const { heads, headSize, ropeTheta: theta } = c.model.config;
  const [n, width] = [qkv.shape[0]!, heads * headSize];
  const [q, k, v] = inThree(qkv, width);
  const positions = add(iota([n], 0), a['start']!);
  const first = mul(a['row']!, c.context); // of the row in the cache
  const put = (name: string, x: Tensor): Tensor => {
    grown[name] = dynamicUpdateSlice(a[name]!, x, add(first, a['start']!));
    const mine = c.rows === 1 ? grown[name] : gather(grown[name], add(iota([c.context], 0), first));
    return reshape(mine, [1, c.context, width]);
  };
  const keys = put(`cache.${layer}.keys`, rope(k, positions, { heads, theta }));
  const values = put(`cache.${layer}.values`, v);
  const y = attention(
    {
      q: reshape(rope(q, positions, { heads, theta }), [1, n, width]),
      k: keys,
      v: values,
      querySegments: full([1, n], 1, 'i32'),
      keySegments: full([1, c.context], 1, 'i32'),
      start: a['start']!,
    },
    { heads, scale: 1 },
  );
  return reshape(y, [n, width]);
}
