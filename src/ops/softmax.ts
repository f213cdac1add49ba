/** softmax, logsumexp: over the last axis, shifted by the maximum.   N rows, E entries. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { add, div, exp, log, mul, sub } from './elementwise.ts';
import { reduceMax, reduceSum } from './reduce.ts';
import { reshape } from './reshape.ts';

const softmaxOp = op('softmax', { x: 'f[N,E]' }, { y: 'f[N,E]' }, { inPlace: { y: 'x' } });
const gradOp = op('softmax_grad', { y: 'f[N,E]', dy: 'f[N,E]' }, { dx: 'f[N,E]' }, { inPlace: { dx: 'dy' } });
const lseOp = op('logsumexp', { x: 'f[N,E]' }, { y: 'f[N]' });

rules(softmaxOp, {
  vjp: (_, { y: dy }, { y }) => ({ x: gradOp({ y, dy: dy! }).dx }),
  ref({ x }, { y }, { dims: { N, E } }) {
    for (let n = 0; n < N; n++) {
      let [top, total] = [-Infinity, 0];
      for (let e = 0; e < E; e++) top = Math.max(top, x[n * E + e]!);
      for (let e = 0; e < E; e++) total += Math.exp(x[n * E + e]! - top);
      for (let e = 0; e < E; e++) y[n * E + e] = Math.exp(x[n * E + e]! - top) / total;
    }
  },
  decompose({ x }) {
    const shifted = exp(sub(x, reduceMax(x, [1])));
    return { y: div(shifted, reduceSum(shifted, [1])) };
  },
  cases: [
    { about: 'sixteen experts', inputs: { x: f(33, 16) } },
    { about: 'odd', inputs: { x: f(5, 37) } },
    { about: 'one', inputs: { x: f(4, 1) } },
  ],
});
rules(gradOp, {
  ref({ y, dy }, { dx }, { dims: { N, E } }) {
    for (let n = 0; n < N; n++) {
      let along = 0;
      for (let e = 0; e < E; e++) along += y[n * E + e]! * dy[n * E + e]!;
      for (let e = 0; e < E; e++) dx[n * E + e] = y[n * E + e]! * (dy[n * E + e]! - along);
    }
  },
  decompose: ({ y, dy }) => ({ dx: mul(y, sub(dy, reduceSum(mul(y, dy), [1]))) }),
  cases: [{ about: 'odd', inputs: { y: f(5, 37), dy: f(5, 37) }, tolerance: 2e-5 }],
});
rules(lseOp, {
  vjp: ({ x }, { y: dy }) => ({ x: mul(softmax(x), reshape(dy!, [dy!.shape[0]!, 1])) }),
  ref({ x }, { y }, { dims: { N, E } }) {
    for (let n = 0; n < N; n++) {
      let [top, total] = [-Infinity, 0];
      for (let e = 0; e < E; e++) top = Math.max(top, x[n * E + e]!);
      for (let e = 0; e < E; e++) total += Math.exp(x[n * E + e]! - top);
      y[n] = top + Math.log(total);
    }
  },
  decompose({ x }) {
    const top = reduceMax(x, [1]);
    return { y: reshape(add(top, log(reduceSum(exp(sub(x, top)), [1]))), [x.shape[0]!]) };
  },
  cases: [{ about: 'odd', inputs: { x: f(5, 37) } }],
});
/** x [N,E] → probabilities [N,E]. */
export const softmax = (x: Tensor): Tensor => softmaxOp({ x }).y;
/** log Σ exp over the last axis: x [N,E] → [N]. */
export const logsumexp = (x: Tensor): Tensor => lseOp({ x }).y;
