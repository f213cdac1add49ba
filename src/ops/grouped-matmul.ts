/** grouped_matmul, grouped_outer: one matrix per expert, the heart of the MoE layer.   S rows, E experts, D → F features. */
import { op, rules, type Numbers, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

interface GroupedAttrs {
  /** 1: w is [E,F,D] and multiplies transposed. */
  readonly trans: number;
}
const groupedOp = op(
  'grouped_matmul',
  { x: 'f[S,D]', w: 'f[E,I,J]', sizes: 'i[E]' },
  { y: 'f[*]' },
  {
    attrs: { trans: 'flag' },
    infer(x, { trans }: GroupedAttrs) {
      const [rows, inner] = x['x']!.shape as [number, number];
      const [, first, second] = x['w']!.shape as [number, number, number];
      const [from, to] = trans ? [second, first] : [first, second];
      if (inner !== from)
        throw new TypeError(
          `[grouped_matmul] w: expected f[${trans ? 'E,F,D' : 'E,D,F'}] with D=${inner} (from x), got [${x['w']!.shape}]`,
        );
      return { y: { dtype: 'f32', shape: [rows, to] } };
    },
  },
);
const outerOp = op('grouped_outer', { x: 'f[S,D]', dy: 'f[S,F]', sizes: 'i[E]' }, { w: 'f[E,D,F]' });

/** Calls visit(row, expert) for the rows that sizes give to experts; what does not fit is cut off. */
function eachRow(sizes: Numbers, rows: number, visit: (row: number, expert: number) => void): void {
  for (let e = 0, row = 0; e < sizes.length; e++)
    for (const end = Math.min(rows, row + Math.max(0, sizes[e]!)); row < end; row++) visit(row, e);
}

rules(groupedOp, {
  vjp: ({ x, w, sizes }, { y: dy }, _, { trans }) => ({
    x: groupedOp({ x: dy!, w, sizes }, { trans: 1 - trans }).y,
    w: trans ? outerOp({ x: dy!, dy: x, sizes }).w : outerOp({ x, dy: dy!, sizes }).w,
  }),
  flops: ({ dims: { S, I, J } }) => 2 * S * I * J,
  ref({ x, w, sizes }, { y }, { dims: { S, D, I, J }, attrs: { trans } }) {
    const F = trans ? I : J;
    eachRow(sizes, S, (row, e) => {
      for (let n = 0; n < F; n++) {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += x[row * D + d]! * w[e * I * J + (trans ? n * D + d : d * F + n)]!;
        y[row * F + n] = sum;
      }
    });
  },
  cases: [
    {
      about: 'uneven, some empty',
      inputs: { x: f(31, 19), w: f(5, 19, 23), sizes: exact('i32', [5], [7, 0, 17, 1, 3]) },
      attrs: { trans: 0 },
    },
    { about: 'transposed', inputs: { x: f(31, 19), w: f(5, 23, 19), sizes: exact('i32', [5], [0, 9, 0, 16, 2]) }, attrs: { trans: 1 } },
    { about: 'no rows', inputs: { x: f(0, 4), w: f(2, 4, 3), sizes: exact('i32', [2], [0, 0]) }, attrs: { trans: 0 } },
    { about: 'sizes beyond the rows', inputs: { x: f(6, 4), w: f(3, 4, 3), sizes: exact('i32', [3], [4, -2, 99]) }, attrs: { trans: 0 } },
  ],
});
rules(outerOp, {
  vjp: ({ x, dy, sizes }, { w: dw }) => ({
    x: groupedOp({ x: dy, w: dw!, sizes }, { trans: 1 }).y,
    dy: groupedOp({ x, w: dw!, sizes }, { trans: 0 }).y,
  }),
  flops: ({ dims: { S, D, F } }) => 2 * S * D * F,
  ref({ x, dy, sizes }, { w }, { dims: { S, D, F } }) {
    eachRow(sizes, S, (row, e) => {
      for (let d = 0; d < D; d++) for (let n = 0; n < F; n++) w[(e * D + d) * F + n]! += x[row * D + d]! * dy[row * F + n]!;
    });
  },
  cases: [
    { about: 'uneven, some empty', inputs: { x: f(31, 19), dy: f(31, 23), sizes: exact('i32', [5], [7, 0, 17, 1, 3]) } },
    { about: 'one expert', inputs: { x: f(130, 7), dy: f(130, 5), sizes: exact('i32', [1], [130]) } },
  ],
});
/** y[s] = x[s] · w[e]: the first sizes[0] rows of x belong to expert 0, the next sizes[1] to expert 1, …; further rows are 0. */
export const groupedMatmul = (x: Tensor, w: Tensor, sizes: Tensor): Tensor => groupedOp({ x, w, sizes }, { trans: 0 }).y;
