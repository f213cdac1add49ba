/** cumsum: running sums along an axis, inclusive or exclusive, from either end. */
import { op, requireAxes, rules, type Tensor } from '../graph/index.ts';
import { f, i } from './cases.ts';
import { strides, walk } from './strides.ts';

interface CumsumAttrs {
  readonly axis: number;
  readonly exclusive: number;
  readonly reverse: number;
}
const cumsumOp = op(
  'cumsum',
  { x: 'any[*]' },
  { y: 'any[*]' },
  {
    attrs: { axis: 'whole', exclusive: 'flag', reverse: 'flag' },
    infer(x, { axis }: CumsumAttrs) {
      requireAxes('cumsum', x['x']!.shape, axis);
      return { y: x['x']! };
    },
  },
);
rules(cumsumOp, {
  vjp: (_, { y: dy }, __, attrs) => ({ x: cumsumOp({ x: dy! }, { ...attrs, reverse: 1 - attrs.reverse }).y }),
  ref({ x }, { y }, { shapes, attrs: { axis, exclusive, reverse } }) {
    const step = strides(shapes.x)[axis]!;
    const length = shapes.x[axis]!;
    walk(
      shapes.x.map((d, a) => (a === axis ? Math.min(1, d) : d)),
      (_, at) => {
        const base = at.reduce((sum, p, a) => sum + p * strides(shapes.x)[a]!, 0);
        for (let n = 0, total = 0; n < length; n++) {
          const here = base + (reverse ? length - 1 - n : n) * step;
          const next = total + x[here]!;
          y[here] = exclusive ? total : next;
          total = y instanceof Float32Array ? Math.fround(next) : next;
        }
      },
    );
  },
  cases: [
    { about: 'rows', inputs: { x: f(13, 5) }, attrs: { axis: 0, exclusive: 0, reverse: 0 } },
    { about: 'exclusive integers', inputs: { x: i(5, 3, 17) }, attrs: { axis: 1, exclusive: 1, reverse: 0 } },
    { about: 'from the end', inputs: { x: f(3, 17) }, attrs: { axis: 1, exclusive: 0, reverse: 1 } },
    { about: 'nothing', inputs: { x: f(3, 0) }, attrs: { axis: 1, exclusive: 0, reverse: 0 } },
  ],
});
/** Running sum along `axis`; exclusive sums leave out the element itself, reverse sums start at the end. */
export const cumsum = (x: Tensor, axis: number, { exclusive = false, reverse = false } = {}): Tensor =>
  cumsumOp({ x }, { axis, exclusive: Number(exclusive), reverse: Number(reverse) }).y;
