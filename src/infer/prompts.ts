/** A program that reads the prompts of all rows at once, as one batch of the JAX reference.   B rows, M context, n tokens a row, N = B·n, D = heads · head size. */
import { forward } from './forward.ts';
import { products } from './products.ts';
import { type Args, type Grown, inThree, keepRows, type ReadingConfig, results, specsOf, taps } from './reading.ts';
import { attention, full, gather, iota, logitMask, type Program, reshape, rope, type Tensor, trace } from './vocabulary.ts';

/**
 * Reads i[B,n] tokens from position 0 on; `segments` i[B,n] is 0 behind the end of a row, `last` i[B] the index in [N] of each row's last token.
 * All N places are routed together, padding as zeros.
 */
export function promptsProgram(c: ReadingConfig, n: number): Program {
  const each = { shape: [c.rows, n], dtype: 'i32' as const };
  const specs = { ...specsOf(c), tokens: each, segments: each, last: { shape: [c.rows], dtype: 'i32' as const } };
  return trace(
    `read ${n} tokens of ${c.rows} rows`,
    specs,
    (a) => {
      const by = products(c.model, c.weights, (path) => a[path]!);
      const grown: Grown = {};
      const attend = (qkv: Tensor, layer: number): Tensor => attendPrompts(c, a, qkv, { layer, n, grown });
      const tokens = reshape(a['tokens']!, [c.rows * n]);
      const mask = logitMask(tokens, c.rows, n);
      const hidden = forward(c.model, by, (path) => a[path]!, { tokens, rows: c.rows, length: n, alone: false, mask, attend });
      return results(gather(hidden, a['last']!), (x) => by.head(x), grown);
    },
    taps(c),
  );
}

interface Attending {
  readonly layer: number;
  readonly n: number;
  readonly grown: Grown;
}

function attendPrompts(c: ReadingConfig, a: Args, qkv: Tensor, { layer, n, grown }: Attending): Tensor {
  const { heads, headSize, ropeTheta: theta } = c.model.config;
  const width = heads * headSize;
  const [q, k, v] = inThree(qkv, width);
  const positions = reshape(iota([c.rows, n], 1), [c.rows * n]);
  const keys = rope(k, positions, { heads, theta });
  const start = full([], 0, 'i32');
  keepRows(c, a, grown, { name: `cache.${layer}.keys`, x: keys, place: start });
  keepRows(c, a, grown, { name: `cache.${layer}.values`, x: v, place: start });
  const inRows = (x: Tensor): Tensor => reshape(x, [c.rows, n, width]);
  const segments = { querySegments: a['segments']!, keySegments: a['segments']!, start };
  const y = attention({ q: inRows(rope(q, positions, { heads, theta })), k: inRows(keys), v: inRows(v), ...segments }, { heads, scale: 1 });
  return reshape(y, [c.rows * n, width]);
}
