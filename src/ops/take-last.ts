/** take_last, put_last: entries along the last axis by index, and back.   N rows, E entries, K of them. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f, i } from './cases.ts';
import { max, min } from './elementwise.ts';

const takeOp = op('take_last', { x: 'f[N,E]', indices: 'i[N,K]' }, { y: 'f[N,K]' });
rules(takeOp, {
  vjp: ({ x, indices }, { y: dy }) => ({ x: putLast(dy!, min(max(indices, 0), x.shape[1]! - 1), x.shape[1]!) }),
  ref({ x, indices }, { y }, { dims: { N, E, K } }) {
    for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) y[n * K + k] = x[n * E + Math.max(0, Math.min(E - 1, indices[n * K + k]!))]!;
  },
  cases: [
    { about: 'two of seven', inputs: { x: f(13, 7), indices: i(7, 13, 2) } },
    { about: 'outside is clamped', inputs: { x: f(1, 3), indices: exact('i32', [1, 3], [-5, 1, 9]) } },
  ],
});
/** y[n,k] = x[n, indices[n,k]]. */
export const takeLast = (x: Tensor, indices: Tensor): Tensor => takeOp({ x, indices }).y;

interface PutAttrs {
  readonly size: number;
}
const putOp = op(
  'put_last',
  { x: 'f[N,K]', indices: 'i[N,K]' },
  { y: 'f[*]' },
  {
    attrs: { size: 'whole' },
    infer: (x, { size }: PutAttrs) => ({ y: { dtype: 'f32', shape: [x['x']!.shape[0]!, size] } }),
  },
);
rules(putOp, {
  vjp: ({ indices }, { y: dy }) => ({ x: takeLast(dy!, indices) }),
  ref({ x, indices }, { y }, { dims: { N, K }, attrs: { size } }) {
    for (let n = 0; n < N; n++)
      for (let k = 0; k < K; k++) {
        const at = indices[n * K + k]!;
        if (at >= 0 && at < size) y[n * size + at]! += x[n * K + k]!;
      }
  },
  cases: [{ about: 'repeats add up', inputs: { x: f(13, 3), indices: i(4, 13, 3) }, attrs: { size: 5 } }],
});
/** zeros[N, size] plus x[n,k] at [n, indices[n,k]]; indices outside are dropped. */
export const putLast = (x: Tensor, indices: Tensor, size: number): Tensor => putOp({ x, indices }, { size }).y;
