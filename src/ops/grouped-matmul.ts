/** grouped_matmul, grouped_outer: one matrix per expert, the heart of the MoE layer.   S rows, E experts, D → F features. */
import { op, rules, type Numbers, type Tensor } from '../graph/index.ts';
import { exact, f, half } from './cases.ts';
import { cast } from './cast.ts';
import { type FloatType, multiplied, productType } from './product-type.ts';

interface GroupedAttrs {
  /** 1: w is [E,F,D] and multiplies transposed. */
  readonly trans: number;
  /** 1: y is bf16. */
  readonly bf16: number;
}
const groupedOp = op(
  'grouped_matmul',
  { x: 'float[S,D]', w: 'float[E,I,J]', sizes: 'i[E]' },
  { y: 'float[*]' },
  {
    attrs: { trans: 'flag', bf16: 'flag' },
    infer(x, { trans, bf16 }: GroupedAttrs) {
      const [rows, inner] = x['x']!.shape as [number, number];
      const [, first, second] = x['w']!.shape as [number, number, number];
      const [from, to] = trans ? [second, first] : [first, second];
      if (inner !== from)
        throw new TypeError(
          `[grouped_matmul] w: expected f[${trans ? 'E,F,D' : 'E,D,F'}] with D=${inner} (from x), got [${x['w']!.shape}]`,
        );
      return { y: { dtype: productType('grouped_matmul', x, bf16), shape: [rows, to] } };
    },
  },
);
const outerOp = op('grouped_outer', { x: 'float[S,D]', dy: 'float[S,F]', sizes: 'i[E]' }, { w: 'f[E,D,F]' });

/** Calls visit(row, expert) for the rows that sizes give to experts; what does not fit is cut off. */
function eachRow(sizes: Numbers, rows: number, visit: (row: number, expert: number) => void): void {
  for (let e = 0, row = 0; e < sizes.length; e++)
    for (const end = Math.min(rows, row + Math.max(0, sizes[e]!)); row < end; row++) visit(row, e);
}

rules(groupedOp, {
  vjp({ x, w, sizes }, { y }, _, { trans }) {
    // What was multiplied in bf16 is so on the way back.
    const dy = x.dtype === 'bf16' || w.dtype === 'bf16' ? cast(y!, 'bf16') : y!;
    return {
      x: grouped({ x: dy, w, sizes }, 1 - trans, x),
      w: trans ? outerOp({ x: dy, dy: x, sizes }).w : outerOp({ x, dy, sizes }).w,
    };
  },
  flops: ({ dims: { S, I, J } }) => 2 * S * I * J,
  ref({ sizes, ...factors }, { y }, { dims: { S, D, I, J }, dtypes, attrs: { trans } }) {
    const { x, w } = multiplied(factors, dtypes);
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
      attrs: { trans: 0, bf16: 0 },
    },
    {
      about: 'transposed',
      inputs: { x: f(31, 19), w: f(5, 23, 19), sizes: exact('i32', [5], [0, 9, 0, 16, 2]) },
      attrs: { trans: 1, bf16: 0 },
    },
    { about: 'no rows', inputs: { x: f(0, 4), w: f(2, 4, 3), sizes: exact('i32', [2], [0, 0]) }, attrs: { trans: 0, bf16: 0 } },
    {
      about: 'bf16',
      inputs: { x: half(31, 19), w: f(5, 19, 23), sizes: exact('i32', [5], [7, 0, 17, 1, 3]) },
      attrs: { trans: 0, bf16: 0 },
    },
    {
      about: 'transposed, bf16 to bf16',
      inputs: { x: half(31, 34), w: half(4, 39, 34), sizes: exact('i32', [4], [0, 9, 16, 2]) },
      attrs: { trans: 1, bf16: 1 },
    },
    {
      about: 'sizes beyond the rows',
      inputs: { x: f(6, 4), w: f(3, 4, 3), sizes: exact('i32', [3], [4, -2, 99]) },
      attrs: { trans: 0, bf16: 0 },
    },
  ],
});
rules(outerOp, {
  vjp: ({ x, dy, sizes }, { w: dw }) => ({
    x: grouped({ x: dy, w: dw!, sizes }, 1, x),
    dy: grouped({ x, w: dw!, sizes }, 0, dy),
  }),
  flops: ({ dims: { S, D, F } }) => 2 * S * D * F,
  ref({ sizes, ...factors }, { w }, { dims: { S, D, F }, dtypes }) {
    const { x, dy } = multiplied(factors, dtypes);
    eachRow(sizes, S, (row, e) => {
      for (let d = 0; d < D; d++) for (let n = 0; n < F; n++) w[(e * D + d) * F + n]! += x[row * D + d]! * dy[row * F + n]!;
    });
  },
  cases: [
    { about: 'uneven, some empty', inputs: { x: f(31, 19), dy: f(31, 23), sizes: exact('i32', [5], [7, 0, 17, 1, 3]) } },
    { about: 'bf16', inputs: { x: half(31, 19), dy: half(31, 23), sizes: exact('i32', [5], [7, 0, 17, 1, 3]) } },
    { about: 'one expert', inputs: { x: f(130, 7), dy: f(130, 5), sizes: exact('i32', [1], [130]) } },
  ],
});
/** In the type of what it is the gradient of. */
const grouped = (
  operands: { x: Tensor; w: Tensor; sizes: Tensor },
  trans: number,
  { dtype }: { readonly dtype: Tensor['dtype'] },
): Tensor => groupedOp(operands, { trans, bf16: Number(dtype === 'bf16') }).y;

/**
 * y[s] = x[s] · w[e]: the first sizes[0] rows of x belong to expert 0, the next sizes[1] to expert 1, …; further rows are 0.
 * f32 and bf16 as in matmul.
 */
export const groupedMatmul = (x: Tensor, w: Tensor, sizes: Tensor, dtype: FloatType = 'f32'): Tensor =>
  grouped({ x, w, sizes }, 0, { dtype });
