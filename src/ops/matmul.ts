/** matmul: products of matrices in every transposition; leading axes are a batch.   M,K × K,N. */
import { op, rules, sizeOf, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';

interface MatmulAttrs {
  readonly transA: number;
  readonly transB: number;
}
const sizes = (a: readonly number[], b: readonly number[], { transA, transB }: MatmulAttrs) => {
  const [rows, inner] = transA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [innerB, columns] = transB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  return { M: rows, K: inner, KB: innerB, N: columns };
};
const matmulOp = op(
  'matmul',
  { a: 'f[*]', b: 'f[*]' },
  { y: 'f[*]' },
  {
    attrs: { transA: 'flag', transB: 'flag' },
    infer(x, attrs: MatmulAttrs) {
      const [a, b] = [x['a']!.shape, x['b']!.shape];
      const { M, K, KB, N } = sizes(a, b, attrs);
      if (a.length < 2 || a.length !== b.length || K !== KB || a.slice(0, -2).join() !== b.slice(0, -2).join())
        throw new TypeError(`[matmul] a [${a}]${attrs.transA ? 'ᵀ' : ''} does not multiply b [${b}]${attrs.transB ? 'ᵀ' : ''}`);
      return { y: { dtype: 'f32', shape: [...a.slice(0, -2), M, N] } };
    },
  },
);
rules(matmulOp, {
  vjp: ({ a, b }, { y }, _, { transA, transB }) => ({
    a: transA ? product(b, y!, transB, 1) : product(y!, b, 0, 1 - transB),
    b: transB ? product(y!, a, 1, transA) : product(a, y!, 1 - transA, 0),
  }),
  flops: ({ shapes, attrs }) => 2 * sizeOf(shapes.y) * sizes(shapes.a, shapes.b, attrs).K,
  ref({ a, b }, { y }, { shapes, attrs }) {
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
    { about: 'odd', inputs: { a: f(37, 19), b: f(19, 53) }, attrs: { transA: 0, transB: 0 } },
    { about: 'aᵀ', inputs: { a: f(19, 37), b: f(19, 5) }, attrs: { transA: 1, transB: 0 } },
    { about: 'bᵀ', inputs: { a: f(3, 130), b: f(67, 130) }, attrs: { transA: 0, transB: 1 } },
    { about: 'aᵀ bᵀ', inputs: { a: f(13, 7), b: f(29, 13) }, attrs: { transA: 1, transB: 1 } },
    { about: 'one row', inputs: { a: f(1, 31), b: f(31, 33) }, attrs: { transA: 0, transB: 0 } },
    { about: 'no rows', inputs: { a: f(0, 31), b: f(31, 3) }, attrs: { transA: 0, transB: 0 } },
    { about: 'nothing to sum', inputs: { a: f(4, 0), b: f(0, 3) }, attrs: { transA: 0, transB: 0 } },
    { about: 'a batch', inputs: { a: f(3, 5, 7), b: f(3, 7, 4) }, attrs: { transA: 0, transB: 0 } },
  ],
});
const product = (a: Tensor, b: Tensor, transA: number, transB: number): Tensor => matmulOp({ a, b }, { transA, transB }).y;

/** a·b over the last two axes, each optionally transposed. */
export const matmul = (a: Tensor, b: Tensor, { transA = false, transB = false } = {}): Tensor =>
  product(a, b, Number(transA), Number(transB));
