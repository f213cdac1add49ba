/** rms_norm: each row over its root mean square.   N rows, D features. */
import { type AttrKinds, op, rules, type Tensor } from '../graph/index.ts';
import { broadcast } from './broadcast.ts';
import { f, half } from './cases.ts';
import { cast } from './cast.ts';
import { add, mul, rsqrt, sub } from './elementwise.ts';
import type { FloatType } from './product-type.ts';
import { reduceSum, sum } from './reduce.ts';

interface NormAttrs {
  readonly eps: number;
}
interface TypedNormAttrs extends NormAttrs {
  /** 1: y is bf16. */
  readonly bf16: number;
}
const normOp = op(
  'rms_norm',
  { x: 'f[N,D]', scale: 'f[D]' },
  { y: 'float[N,D]' },
  {
    attrs: { eps: 'number', bf16: 'flag' },
    infer: ({ x }, { bf16 }: TypedNormAttrs) => ({ y: { dtype: bf16 ? 'bf16' : 'f32', shape: x!.shape } }),
  },
);
const gradOp = op(
  'rms_norm_grad',
  { x: 'f[N,D]', scale: 'f[D]', dy: 'float[N,D]' },
  { dx: 'f[N,D]', dscale: 'f[D]' },
  {
    attrs: { eps: 'number' } as AttrKinds<NormAttrs>,
  },
);
const cases = { x: f(13, 37), scale: f(37) };
/** 1 ÷ rms of each row, [N,1]. */
const inverse = (x: Tensor, eps: number): Tensor => rsqrt(add(mul(reduceSum(mul(x, x), [1]), 1 / x.shape[1]!), eps));

rules(normOp, {
  vjp({ x, scale }, { y: dy }, _, { eps }) {
    const { dx, dscale } = gradOp({ x, scale, dy: dy! }, { eps });
    return { x: dx, scale: dscale };
  },
  ref({ x, scale }, { y }, { dims: { N, D }, attrs: { eps } }) {
    for (let n = 0; n < N; n++) {
      let squares = 0;
      for (let d = 0; d < D; d++) squares += x[n * D + d]! ** 2;
      const inv = 1 / Math.sqrt(squares / D + eps);
      for (let d = 0; d < D; d++) y[n * D + d] = x[n * D + d]! * inv * scale[d]!;
    }
  },
  decompose: ({ x, scale }, { eps, bf16 }) => ({ y: cast(mul(mul(x, inverse(x, eps)), scale), bf16 ? 'bf16' : 'f32') }),
  cases: [
    { about: 'odd', inputs: cases, attrs: { eps: 1e-6, bf16: 0 } },
    { about: 'to bf16', inputs: cases, attrs: { eps: 1e-6, bf16: 1 } },
    { about: 'one row of 256', inputs: { x: f(1, 256), scale: f(256) }, attrs: { eps: 1e-6, bf16: 0 } },
    { about: 'no rows', inputs: { x: f(0, 8), scale: f(8) }, attrs: { eps: 1e-6, bf16: 0 } },
  ],
});
rules(gradOp, {
  ref({ x, scale, dy }, { dx, dscale }, { dims: { N, D }, attrs: { eps } }) {
    for (let n = 0; n < N; n++) {
      let [squares, along] = [0, 0];
      for (let d = 0; d < D; d++) {
        squares += x[n * D + d]! ** 2;
        along += dy[n * D + d]! * scale[d]! * x[n * D + d]!;
      }
      const inv = 1 / Math.sqrt(squares / D + eps);
      for (let d = 0; d < D; d++) {
        dx[n * D + d] = inv * (dy[n * D + d]! * scale[d]! - (x[n * D + d]! * inv * inv * along) / D);
        dscale[d]! += dy[n * D + d]! * x[n * D + d]! * inv;
      }
    }
  },
  decompose({ x, scale, dy }, { eps }) {
    const inv = broadcast(inverse(x, eps), x.shape);
    const out = cast(dy, 'f32');
    const scaled = mul(out, scale);
    const along = mul(reduceSum(mul(scaled, x), [1]), 1 / x.shape[1]!);
    return { dx: mul(inv, sub(scaled, mul(mul(x, mul(inv, inv)), along))), dscale: sum(mul(out, mul(x, inv)), [0]) };
  },
  cases: [
    { about: 'odd', inputs: { ...cases, dy: f(13, 37) }, attrs: { eps: 1e-6 }, tolerance: 2e-5 },
    { about: 'bf16', inputs: { ...cases, dy: half(13, 37) }, attrs: { eps: 1e-6 }, tolerance: 2e-5 },
    { about: 'many rows', inputs: { x: f(300, 16), scale: f(16), dy: f(300, 16) }, attrs: { eps: 1e-6 }, tolerance: 5e-5 },
  ],
});
/** x [N,D] ÷ sqrt(mean x² + eps) · scale [D] (T5's layer norm: no mean is subtracted), in f32 or rounded to bf16. */
export const rmsNorm = (x: Tensor, scale: Tensor, { eps, dtype = 'f32' }: NormAttrs & { readonly dtype?: FloatType }): Tensor =>
  normOp({ x, scale }, { eps, bf16: Number(dtype === 'bf16') }).y;
