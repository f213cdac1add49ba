/** barrier: a value that counts as another one, not to be had before a second value is: what is rebuilt is not found to be there already. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f, i } from './cases.ts';

const barrierOp = op(
  'barrier',
  { x: 'any[*]', after: 'any[*]' },
  { y: 'any[*]' },
  { view: true, infer: (x) => ({ y: { dtype: x['x']!.dtype, shape: x['x']!.shape } }) },
);
rules(barrierOp, {
  vjp: (_, { y: dy }) => ({ x: dy! }),
  ref({ x }, { y }) {
    for (let n = 0; n < x.length; n++) y[n] = x[n]!;
  },
  cases: [
    { about: 'floats', inputs: { x: f(3, 37), after: f(2) } },
    { about: 'integers', inputs: { x: i(9, 37), after: i(9) } },
  ],
});
/** x itself, in the same memory; common subexpressions of x and of this are not merged (XLA: optimization_barrier). */
export const barrier = (x: Tensor, after: Tensor): Tensor => barrierOp({ x, after }).y;
