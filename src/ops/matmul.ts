/** matmul: products of matrices in every transposition; leading axes are a batch.   M,K × K,N. */
import { op, rules, sizeOf, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import { cast } from './cast.ts';
import { type FloatType, multiplied, productType } from './product-type.ts';

interface MatmulAttrs {
  readonly transA: number;
  readonly transB: number;
  /** 1: y is bf16. */
  readonly bf16: number;
}
const sizes = (a: readonly number[], b: readonly number[], { transA, transB }: Pick<MatmulAttrs, 'transA' | 'transB'>) => {
  const [rows, inner] = transA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [innerB, columns] = transB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  return { M: rows, K: inner, KB: innerB, N: columns };
};
const matmulOp = op(
  'matmul',
  { a: 'float[*]', b: 'float[*]' },
  { y: 'float[*]' },
  {
    attrs: { transA: 'flag', transB: 'flag', bf16: 'flag' },
    infer(x, attrs: MatmulAttrs) {
      const [a, b] = [x['a']!.shape, x['b']!.shape];
      const { M, K, KB, N } = sizes(a, b, attrs);
      if (a.length < 2 || a.length !== b.length || K !== KB || a.slice(0, -2).join() !== b.slice(0, -2).join())
        throw new TypeError(`[matmul] a [${a}]${attrs.transA ? 'ᵀ' : ''} does not multiply b [${b}]${attrs.transB ? 'ᵀ' : ''}`);
      return { y: { dtype: productType('matmul', x, attrs.bf16), shape: [...a.slice(0, -2), M, N] } };
    },
  },
);
rules(matmulOp, {
  vjp({ a, b }, { y }, _, { transA, transB }) {
    // What was multiplied in bf16 is so on the way back.
    const dy = a.dtype === 'bf16' || b.dtype === 'bf16' ? cast(y!, 'bf16') : y!;
    return {
      a: transA ? product(b, dy, { transA: transB, transB: 1 }, a) : product(dy, b, { transA: 0, transB: 1 - transB }, a),
      b: transB ? product(dy, a, { transA: 1, transB: transA }, b) : product(a, dy, { transA: 1 - transA, transB: 0 }, b),
    };
  },
  flops: ({ shapes, attrs }) => 2 * sizeOf(shapes.y) * sizes(shapes.a, shapes.b, attrs).K,
  ref(x, { y }, { shapes, dtypes, attrs }) {
    const { a, b } = multiplied(x, dtypes);
    const { M, K, N } = sizes(shapes.a, shapes.b, attrs);
    for (let batch = 0; batch < sizeOf(shapes.a.slice(0, -2)); batch++) {
      const [ao, bo, yo] = [batch * M * K, batch * K * N, batch * M * N];
      for (let m = 0; m < M; m++)
        for (let n = 0; n < N; n++) {
          let sum = 0;
          for (let k = 0; k < K; k++)
            sum += a[ao + (attrs.transA ? k * M + m : m * K + k)]! * b[bo + (attrs.transB ? n * K + k : k * N + n)]!;
          y[yo + m * N + n] = sum;
        }
    }
  },
  cases: [
    { about: 'odd', inputs: { a: f(37, 19), b: f(19, 53) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    { about: 'aᵀ', inputs: { a: f(19, 37), b: f(19, 5) }, attrs: { transA: 1, transB: 0, bf16: 0 } },
    { about: 'bᵀ', inputs: { a: f(3, 130), b: f(67, 130) }, attrs: { transA: 0, transB: 1, bf16: 0 } },
    { about: 'one row, bᵀ', inputs: { a: f(1, 1100), b: f(67, 1100) }, attrs: { transA: 0, transB: 1, bf16: 0 } },
    { about: 'aᵀ bᵀ', inputs: { a: f(13, 7), b: f(29, 13) }, attrs: { transA: 1, transB: 1, bf16: 0 } },
    { about: 'one row', inputs: { a: f(1, 31), b: f(31, 33) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    {
      about: 'few rows and columns, deep',
      inputs: { a: f(3, 700), b: f(700, 23) },
      attrs: { transA: 0, transB: 0, bf16: 0 },
      tolerance: 5e-5,
    },
    { about: 'no rows', inputs: { a: f(0, 31), b: f(31, 3) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    { about: 'nothing to sum', inputs: { a: f(4, 0), b: f(0, 3) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    { about: 'bf16', inputs: { a: half(37, 19), b: half(19, 53) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    { about: 'bf16 and f32', inputs: { a: half(37, 64), b: f(64, 5) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
    { about: 'bf16 aᵀ, to bf16', inputs: { a: half(2100, 31), b: half(2100, 33) }, attrs: { transA: 1, transB: 0, bf16: 1 } },
    { about: 'f32 and bf16ᵀ, to bf16', inputs: { a: f(30, 35), b: half(130, 35) }, attrs: { transA: 0, transB: 1, bf16: 1 } },
    { about: 'a batch in bf16', inputs: { a: half(3, 5, 7), b: f(3, 4, 7) }, attrs: { transA: 0, transB: 1, bf16: 0 } },
    { about: 'nothing to sum in bf16', inputs: { a: half(4, 0), b: half(0, 3) }, attrs: { transA: 0, transB: 0, bf16: 1 } },
    { about: 'a batch', inputs: { a: f(3, 5, 7), b: f(3, 7, 4) }, attrs: { transA: 0, transB: 0, bf16: 0 } },
  ],
});
/** In the type of what it is the gradient of. */
const product = (
  a: Tensor,
  b: Tensor,
  trans: Pick<MatmulAttrs, 'transA' | 'transB'>,
  { dtype }: { readonly dtype: Tensor['dtype'] },
): Tensor => matmulOp({ a, b }, { ...trans, bf16: Number(dtype === 'bf16') }).y;

/**
 * a·b over the last two axes, each optionally transposed. Sums are f32. Where an operand is bf16, both are rounded to bf16 before they
 * are multiplied, and then the result may be bf16 too.
 */
export const matmul = (a: Tensor, b: Tensor, { transA = false, transB = false, dtype = 'f32' as FloatType } = {}): Tensor =>
  product(a, b, { transA: Number(transA), transB: Number(transB) }, { dtype });
