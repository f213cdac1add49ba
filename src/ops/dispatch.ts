/** dispatch, combine: tokens to their seats and the experts' answers back.   T tokens, K choices, S seats, D features. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f, half } from './cases.ts';
import { cast } from './cast.ts';
import { full } from './constant.ts';
import type { FloatType } from './product-type.ts';

const dispatchOp = op(
  'dispatch',
  { x: 'float[T,D]', assignments: 'i[S]', where: 'i[T,K]' },
  { y: 'float[S,D]' },
  { infer: ({ x, assignments }) => ({ y: { dtype: x!.dtype, shape: [assignments!.shape[0]!, x!.shape[1]!] } }) },
);
const combineOp = op('combine', { x: 'float[S,D]', weights: 'f[T,K]', where: 'i[T,K]', assignments: 'i[S]' }, { y: 'f[T,D]' });
const gradOp = op(
  'combine_grad',
  { x: 'float[S,D]', weights: 'f[T,K]', where: 'i[T,K]', assignments: 'i[S]', dy: 'f[T,D]' },
  { dx: 'float[S,D]', dweights: 'f[T,K]' },
  { infer: ({ x }) => ({ dx: x! }) },
);
/** Three tokens, two choices; the last choice of token 1 was dropped. */
const seats = { assignments: exact('i32', [6], [2, 0, 5, 4, 1, -1]), where: exact('i32', [3, 2], [1, 4, 0, -1, 3, 2]) };

rules(dispatchOp, {
  vjp: ({ x, assignments, where }, { y: dy }) => ({
    x: cast(combineOp({ x: dy!, weights: full(where.shape, 1), where, assignments }).y, x.dtype as FloatType),
  }),
  ref({ x, assignments }, { y }, { dims: { S, T, K, D } }) {
    for (let s = 0; s < S; s++) {
      const at = assignments[s]!;
      if (at >= 0 && at < T * K) for (let d = 0; d < D; d++) y[s * D + d] = x[Math.floor(at / K) * D + d]!;
    }
  },
  cases: [
    { about: 'one dropped', inputs: { x: f(3, 37), ...seats } },
    { about: 'bf16', inputs: { x: half(3, 37), ...seats } },
  ],
});
rules(combineOp, {
  vjp({ x, weights, where, assignments }, { y: dy }) {
    const { dx, dweights } = gradOp({ x, weights, where, assignments, dy: dy! });
    return { x: dx, weights: dweights };
  },
  ref({ x, weights, where }, { y }, { dims: { T, K, S, D } }) {
    for (let t = 0; t < T; t++)
      for (let k = 0; k < K; k++) {
        const s = where[t * K + k]!;
        if (s >= 0 && s < S) for (let d = 0; d < D; d++) y[t * D + d]! += weights[t * K + k]! * x[s * D + d]!;
      }
  },
  cases: [
    { about: 'one dropped', inputs: { x: f(6, 37), weights: f(3, 2), ...seats } },
    { about: 'bf16', inputs: { x: half(6, 37), weights: f(3, 2), ...seats } },
  ],
});
rules(gradOp, {
  ref({ x, weights, where, assignments, dy }, { dx, dweights }, { dims: { T, K, S, D } }) {
    for (let s = 0; s < S; s++) {
      const at = assignments[s]!;
      if (at >= 0 && at < T * K) for (let d = 0; d < D; d++) dx[s * D + d] = weights[at]! * dy[Math.floor(at / K) * D + d]!;
    }
    for (let at = 0; at < T * K; at++) {
      const s = where[at]!;
      if (s >= 0 && s < S) for (let d = 0; d < D; d++) dweights[at]! += x[s * D + d]! * dy[Math.floor(at / K) * D + d]!;
    }
  },
  cases: [
    { about: 'one dropped', inputs: { x: f(6, 37), weights: f(3, 2), ...seats, dy: f(3, 37) } },
    { about: 'bf16', inputs: { x: half(6, 37), weights: f(3, 2), ...seats, dy: f(3, 37) } },
  ],
});

interface Seats {
  readonly assignments: Tensor;
  readonly where: Tensor;
}
/** x [T,D] → [S,D]: each seat holds its token; seats beyond the last are zero. f32 or bf16. */
export const dispatch = (x: Tensor, { assignments, where }: Seats): Tensor => dispatchOp({ x, assignments, where }).y;
/** y[t] = Σ_k weights[t,k] · x[seat of (t,k)]; dropped choices add nothing. x [S,D] in f32 or bf16, weights [T,K] → [T,D] in f32. */
export const combine = (x: Tensor, weights: Tensor, { assignments, where }: Seats): Tensor =>
  combineOp({ x, weights, where, assignments }).y;
