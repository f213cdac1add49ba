/** rope: rotary position embedding, half-split pairing, in every head.   N rows, D = heads · head size. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { f, i } from './cases.ts';

interface RopeAttrs {
  readonly heads: number;
  readonly theta: number;
  /** 1 rotates forth, −1 back. */
  readonly sign: number;
}
const ropeOp = op(
  'rope',
  { x: 'f[N,D]', positions: 'i[N]' },
  { y: 'f[N,D]' },
  {
    attrs: { heads: 'count', theta: 'number', sign: 'number' },
    inPlace: { y: 'x' },
    infer(x, { heads }: RopeAttrs) {
      const [rows, features] = x['x']!.shape as [number, number];
      if (features % (2 * heads) !== 0) throw new TypeError(`[rope] x: ${features} features are not ${heads} heads of even size`);
      return { y: { dtype: 'f32', shape: [rows, features] } };
    },
  },
);
rules(ropeOp, {
  vjp: ({ positions }, { y: dy }, _, attrs) => ({ x: ropeOp({ x: dy!, positions }, { ...attrs, sign: -attrs.sign }).y }),
  // Su et al. 2021 (arXiv 2104.09864), pairs (i, i + half) as in GPT-NeoX.
  ref({ x, positions }, { y }, { dims: { N, D }, attrs: { heads, theta, sign } }) {
    const half = D / heads / 2;
    for (let n = 0; n < N; n++)
      for (let h = 0; h < heads; h++)
        for (let j = 0; j < half; j++) {
          const angle = sign * positions[n]! * theta ** (-j / half);
          const at = n * D + h * 2 * half + j;
          const [a, b, c, s] = [x[at]!, x[at + half]!, Math.cos(angle), Math.sin(angle)];
          y[at] = a * c - b * s;
          y[at + half] = b * c + a * s;
        }
  },
  cases: [
    { about: 'three heads', inputs: { x: f(11, 30), positions: i(500, 11) }, attrs: { heads: 3, theta: 1e4, sign: 1 }, tolerance: 1e-4 },
    { about: 'back', inputs: { x: f(5, 64), positions: i(2000, 5) }, attrs: { heads: 2, theta: 1e4, sign: -1 }, tolerance: 3e-4 },
  ],
});
/** x [N, heads·hd] rotated by its positions [N]. */
export const rope = (x: Tensor, positions: Tensor, { heads, theta }: { heads: number; theta: number }): Tensor =>
  ropeOp({ x, positions }, { heads, theta, sign: 1 }).y;
