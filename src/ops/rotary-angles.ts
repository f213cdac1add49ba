/** rotary_angles: sines and cosines of rotary positions, made once for all layers that read one token.   N positions. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { i } from './cases.ts';

interface AngleAttrs {
  /** Features of a head. */
  readonly size: number;
  readonly theta: number;
}
const anglesOp = op(
  'rotary_angles',
  { positions: 'i[N]' },
  { y: 'f[*]' },
  {
    attrs: { size: 'whole', theta: 'number' },
    infer(x, { size }: AngleAttrs) {
      if (size % 2 !== 0) throw new TypeError(`[rotary_angles] size: ${size} is odd`);
      return { y: { dtype: 'f32', shape: [x['positions']!.shape[0]!, size] } };
    },
  },
);
rules(anglesOp, {
  ref({ positions }, { y }, { dims: { N }, attrs: { size, theta } }) {
    const half = size / 2;
    for (let n = 0; n < N; n++)
      for (let j = 0; j < half; j++) {
        const angle = positions[n]! * theta ** (-j / half);
        y[n * size + j] = Math.sin(angle);
        y[n * size + half + j] = Math.cos(angle);
      }
  },
  cases: [{ about: 'two thousand positions', inputs: { positions: i(2000, 19) }, attrs: { size: 30, theta: 1e4 }, tolerance: 3e-4 }],
});

/** [N, size]: sines of the first half of a head's pairs, then cosines (see `rope`). */
export const rotaryAngles = (positions: Tensor, attrs: AngleAttrs): Tensor => anglesOp({ positions }, attrs).y;
