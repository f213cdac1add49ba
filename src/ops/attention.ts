/** attention: causal, within segments, by running softmax.   B rows, Q queries, S keys, D = heads · head size. */
import { op, rules, sameShape, type Numbers, type Spec, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

interface AttentionAttrs {
  readonly heads: number;
  readonly scale: number;
}
const operands = { q: 'f[B,Q,D]', k: 'f[B,S,D]', v: 'f[B,S,D]', querySegments: 'i[B,Q]', keySegments: 'i[B,S]', start: 'i[]' } as const;
/** f[B,heads,Q]. */
function perHead(x: Readonly<Record<string, Spec>>, { heads }: AttentionAttrs): Spec {
  const [rows, queries, features] = x['q']!.shape as [number, number, number];
  if (features % heads !== 0) throw new TypeError(`[attention] q: ${features} features are not ${heads} heads`);
  return { dtype: 'f32', shape: [rows, heads, queries] };
}
const attentionOp = op(
  'attention',
  operands,
  { y: 'f[B,Q,D]', lse: 'f[*]' },
  {
    attrs: { heads: 'count', scale: 'number' },
    infer: (x, attrs: AttentionAttrs) => ({ y: x['q']!, lse: perHead(x, attrs) }),
  },
);
const gradOp = op(
  'attention_grad',
  { ...operands, y: 'f[B,Q,D]', lse: 'f[*]', dy: 'f[B,Q,D]' },
  { dq: 'f[B,Q,D]', dk: 'f[B,S,D]', dv: 'f[B,S,D]' },
  {
    attrs: { heads: 'count', scale: 'number' },
    infer(x, attrs: AttentionAttrs) {
      if (!sameShape(x['lse']!.shape, perHead(x, attrs).shape))
        throw new TypeError(`[attention_grad] lse: expected [B,heads,Q], got [${x['lse']!.shape}]`);
      return { dq: x['q']!, dk: x['k']!, dv: x['v']! };
    },
  },
);

interface Problem {
  readonly q: Numbers;
  readonly k: Numbers;
  readonly querySegments: Numbers;
  readonly keySegments: Numbers;
  readonly start: Numbers;
}
type Sizes = { readonly B: number; readonly Q: number; readonly S: number; readonly D: number };

/**
 * Softmax weights of one query over all keys. A query that sees no key weighs all alike: the reference masks by adding −1e10, which
 * leaves nothing of the scores, and yet its gradient passes through the sum to them.
 */
function weightsOf(x: Problem, { Q, S, D }: Sizes, { heads, scale }: AttentionAttrs, [b, h, i]: readonly [number, number, number]) {
  const hd = D / heads;
  const mine = x.querySegments[b * Q + i]!;
  const sees = (j: number): boolean => j <= i + x.start[0]! && mine > 0 && x.keySegments[b * S + j] === mine;
  const scores = Array.from({ length: S }, (_, j) => {
    if (!sees(j)) return -Infinity;
    let dot = 0;
    for (let d = 0; d < hd; d++) dot += x.q[(b * Q + i) * D + h * hd + d]! * x.k[(b * S + j) * D + h * hd + d]!;
    return dot * scale;
  });
  const top = Math.max(...scores);
  if (top === -Infinity) return { weights: scores.map(() => 1 / S), lse: 0 };
  const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0);
  return { weights: scores.map((s) => Math.exp(s - top) / total), lse: top + Math.log(total) };
}

function eachQuery({ B, Q }: Sizes, heads: number, visit: (at: readonly [number, number, number]) => void): void {
  for (let b = 0; b < B; b++) for (let h = 0; h < heads; h++) for (let i = 0; i < Q; i++) visit([b, h, i]);
}

rules(attentionOp, {
  vjp({ q, k, v, querySegments, keySegments, start }, { y: dy }, { y, lse }, attrs) {
    const { dq, dk, dv } = gradOp({ q, k, v, querySegments, keySegments, start, y, lse, dy: dy! }, attrs);
    return { q: dq, k: dk, v: dv };
  },
  flops: ({ dims: { B, Q, S, D } }) => (Q === S ? 2 : 4) * B * Q * S * D,
  ref(x, { y, lse }, { dims, attrs }) {
    const { Q, S, D } = dims;
    const hd = D / attrs.heads;
    eachQuery(dims, attrs.heads, (at) => {
      const [b, h, i] = at;
      const { weights, lse: logTotal } = weightsOf(x, dims, attrs, at);
      lse[(b * attrs.heads + h) * Q + i] = logTotal;
      weights.forEach((w, j) => {
        for (let d = 0; d < hd; d++) y[(b * Q + i) * D + h * hd + d]! += w * x.v[(b * S + j) * D + h * hd + d]!;
      });
    });
  },
  cases: [
    { about: 'causal', inputs: plain(2, 19, 24), attrs: { heads: 3, scale: 1 }, tolerance: 5e-5 },
    // No slope: where a query sees nothing, the gradient of the scores is what it would be if they counted.
    { about: 'segments and padding', inputs: segmented(9), attrs: { heads: 2, scale: 0.5 }, tolerance: 5e-5, kink: true },
    { about: 'long segments and padding', inputs: segmented(340), attrs: { heads: 2, scale: 0.5 }, tolerance: 5e-5, kink: true },
    { about: 'segments', inputs: packed(), attrs: { heads: 1, scale: 0.5 }, tolerance: 5e-5 },
    { about: 'queries before the first key', inputs: early(), attrs: { heads: 1, scale: 1 }, tolerance: 5e-5, kink: true },
    { about: 'scores that grow by thousands', inputs: steep(), attrs: { heads: 1, scale: 1000 }, tolerance: 5e-4, kink: true },
    { about: 'a segment that begins late, and scores that grow', inputs: late(), attrs: { heads: 1, scale: 1 }, tolerance: 5e-5 },
    { about: 'one query of a cache', inputs: cached(1, 12, 6), attrs: { heads: 2, scale: 1 }, tolerance: 5e-5 },
    { about: 'two queries of a long cache', inputs: cached(2, 200, 150), attrs: { heads: 2, scale: 1 }, tolerance: 5e-5 },
    { about: 'head of 64, longer than a tile', inputs: plain(1, 150, 64), attrs: { heads: 1, scale: 0.125 }, tolerance: 5e-5 },
  ],
});

rules(gradOp, {
  flops: ({ dims: { B, Q, S, D } }) => (Q === S ? 4 : 8) * B * Q * S * D,
  ref(x, { dq, dk, dv }, { dims, attrs }) {
    const { Q, S, D } = dims;
    const hd = D / attrs.heads;
    eachQuery(dims, attrs.heads, (at) => {
      const [b, h, i] = at;
      const { weights } = weightsOf(x, dims, attrs, at);
      const query = (b * Q + i) * D + h * hd;
      let along = 0;
      for (let d = 0; d < hd; d++) along += x.dy[query + d]! * x.y[query + d]!;
      weights.forEach((w, j) => {
        const key = (b * S + j) * D + h * hd;
        let dw = 0;
        for (let d = 0; d < hd; d++) {
          dv[key + d]! += w * x.dy[query + d]!;
          dw += x.dy[query + d]! * x.v[key + d]!;
        }
        const ds = w * (dw - along) * attrs.scale;
        for (let d = 0; d < hd; d++) {
          dq[query + d]! += ds * x.k[key + d]!;
          dk[key + d]! += ds * x.q[query + d]!;
        }
      });
    });
  },
  // y and lse must belong to q, k and v, so the gradient is checked through attention itself.
  cases: [],
});

function plain(rows: number, length: number, features: number) {
  const ones = exact('i32', [rows, length], new Array<number>(rows * length).fill(1));
  const x = f(rows, length, features);
  return { q: x, k: x, v: x, querySegments: ones, keySegments: ones, start: exact('i32', [], [0]) };
}
/** Each row: segments of a third of the length, in the order 1, 2, 1 and 2, 2, 3, then padding; heads of 10. */
function segmented(length: number) {
  const order = [1, 2, 1, 2, 2, 3];
  const of = (row: number, i: number) => (i < length - 2 ? order[3 * row + Math.floor((3 * i) / length)]! : 0);
  const segments = exact(
    'i32',
    [2, length],
    Array.from({ length: 2 * length }, (_, i) => of(Math.floor(i / length), i % length)),
  );
  const x = f(2, length, 20);
  return { q: x, k: x, v: x, querySegments: segments, keySegments: segments, start: exact('i32', [], [0]) };
}
/** The largest scores come last: what was summed before them must shrink. */
function late() {
  const features = 8;
  const rising = exact(
    'f32',
    [1, 44, features],
    Array.from({ length: 44 * features }, (_, n) => 0.1 * Math.floor(n / features) + 0.3 * Math.sin(n)),
  );
  const segments = exact(
    'i32',
    [1, 44],
    Array.from({ length: 44 }, (_, n) => (n < 21 ? 1 : 2)),
  );
  return { q: rising, k: rising, v: f(1, 44, features), querySegments: segments, keySegments: segments, start: exact('i32', [], [0]) };
}
function packed() {
  const segments = exact('i32', [1, 9], [1, 1, 1, 2, 2, 2, 2, 3, 3]);
  return { q: f(1, 9, 8), k: f(1, 9, 8), v: f(1, 9, 8), querySegments: segments, keySegments: segments, start: exact('i32', [], [0]) };
}
function early() {
  const ones = (n: number) => exact('i32', [1, n], new Array<number>(n).fill(1));
  return { q: f(1, 40, 8), k: f(1, 5, 8), v: f(1, 5, 8), querySegments: ones(40), keySegments: ones(5), start: exact('i32', [], [-37]) };
}
/** Later keys score higher by far: sums must be rescaled. */
function steep() {
  const length = 80;
  const ones = exact('i32', [1, length], new Array<number>(length).fill(1));
  const q = exact(
    'f32',
    [1, length, 4],
    Array.from({ length: length * 4 }, (_, i) => (i % 4 === 0 ? 1 : 0)),
  );
  const k = exact(
    'f32',
    [1, length, 4],
    Array.from({ length: length * 4 }, (_, i) => (i % 4 === 0 ? Math.floor(i / 8) / 64 : 0)),
  );
  return { q, k, v: f(1, length, 4), querySegments: ones, keySegments: ones, start: exact('i32', [], [0]) };
}
function cached(queries: number, length: number, start: number) {
  const ones = (n: number) => exact('i32', [1, n], new Array<number>(n).fill(1));
  return {
    q: f(1, queries, 16),
    k: f(1, length, 16),
    v: f(1, length, 16),
    querySegments: ones(queries),
    keySegments: ones(length),
    start: exact('i32', [], [start]),
  };
}

export interface AttentionInputs {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly querySegments: Tensor;
  readonly keySegments: Tensor;
  /** i[]: the position of the first query among the keys. */
  readonly start: Tensor;
}
/** Gradients of q, k and v from that of y; y and lse are what `attention` computed from the same operands. */
export const attentionGrad = (x: AttentionInputs & Record<'y' | 'lse' | 'dy', Tensor>, { heads, scale }: AttentionAttrs) =>
  gradOp({ ...x }, { heads, scale });
/** q [B,Q,D], k and v [B,S,D] → [B,Q,D]. Query i sees key j when j ≤ start + i and both have the same positive segment. */
export const attention = (inputs: AttentionInputs, { heads, scale }: AttentionAttrs): Tensor =>
  attentionOp({ ...inputs }, { heads, scale }).y;
