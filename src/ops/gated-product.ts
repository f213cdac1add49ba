/** gated_product: OpenMoE's three-factor feed-forward, a ⊙ silu(b) ⊙ u with g = [a|b].   N rows, F features. */
import { op, rules, type Spec, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import { cast } from './cast.ts';
import { add, mul, sigmoid, sub } from './elementwise.ts';
import type { FloatType } from './product-type.ts';
import { concat, sliceAxis } from './slice.ts';

const check = (name: string, x: Readonly<Record<string, Spec>>): void => {
  const [g, u] = [x['g']!.shape, x['u']!.shape];
  if (x['g']!.dtype !== x['u']!.dtype) throw new TypeError(`[${name}] u: expected ${x['g']!.dtype} as g, got ${x['u']!.dtype}`);
  if (g[1] !== 2 * u[1]!) throw new TypeError(`[${name}] g: expected f[N,2F] with F=${u[1]} (from u), got [${g}]`);
};
interface ProductAttrs {
  /** 1: y is bf16. */
  readonly bf16: number;
}
const productOp = op(
  'gated_product',
  { g: 'float[N,G]', u: 'float[N,F]' },
  { y: 'float[N,F]' },
  {
    attrs: { bf16: 'flag' },
    inPlace: { y: 'u' },
    infer(x, { bf16 }: ProductAttrs) {
      check('gated_product', x);
      return { y: { dtype: bf16 ? 'bf16' : 'f32', shape: x['u']!.shape } };
    },
  },
);
const gradOp = op(
  'gated_product_grad',
  { g: 'float[N,G]', u: 'float[N,F]', dy: 'float[N,F]' },
  { dg: 'float[N,G]', du: 'float[N,F]' },
  {
    inPlace: { dg: 'g', du: 'u' },
    infer(x) {
      check('gated_product_grad', x);
      return { dg: x['g']!, du: x['u']! };
    },
  },
);
const halves = (g: Tensor): [Tensor, Tensor] => {
  const size = g.shape[1]! / 2;
  const wide = cast(g, 'f32');
  return [sliceAxis(wide, 1, { from: 0, size }), sliceAxis(wide, 1, { from: size, size })];
};

rules(productOp, {
  vjp({ g, u }, { y: dy }) {
    const { dg, du } = gradOp({ g, u, dy: dy! });
    return { g: dg, u: du };
  },
  ref({ g, u }, { y }, { dims: { N, F } }) {
    for (let n = 0; n < N; n++)
      for (let d = 0; d < F; d++) {
        const [a, b] = [g[n * 2 * F + d]!, g[n * 2 * F + F + d]!];
        y[n * F + d] = ((a * b) / (1 + Math.exp(-b))) * u[n * F + d]!;
      }
  },
  decompose({ g, u }, { bf16 }) {
    const [a, b] = halves(g);
    return { y: cast(mul(mul(a, mul(b, sigmoid(b))), cast(u, 'f32')), bf16 ? 'bf16' : 'f32') };
  },
  cases: [
    { about: 'odd', inputs: { g: f(7, 38), u: f(7, 19) }, attrs: { bf16: 0 } },
    { about: 'no rows', inputs: { g: f(0, 8), u: f(0, 4) }, attrs: { bf16: 0 } },
    { about: 'to bf16', inputs: { g: f(7, 38), u: f(7, 19) }, attrs: { bf16: 1 }, tolerance: 4e-3 },
    { about: 'of bf16', inputs: { g: half(7, 38), u: half(7, 19) }, attrs: { bf16: 0 } },
    { about: 'bf16 to bf16', inputs: { g: half(7, 70), u: half(7, 35) }, attrs: { bf16: 1 }, tolerance: 4e-3 },
  ],
});
rules(gradOp, {
  ref({ g, u, dy }, { dg, du }, { dims: { N, F } }) {
    for (let n = 0; n < N; n++)
      for (let d = 0; d < F; d++) {
        const [a, b, up, out] = [g[n * 2 * F + d]!, g[n * 2 * F + F + d]!, u[n * F + d]!, dy[n * F + d]!];
        const gate = 1 / (1 + Math.exp(-b));
        dg[n * 2 * F + d] = out * b * gate * up;
        dg[n * 2 * F + F + d] = out * a * up * gate * (1 + b * (1 - gate));
        du[n * F + d] = out * a * b * gate;
      }
  },
  decompose(x) {
    const [a, b] = halves(x.g);
    const [u, dy] = [cast(x.u, 'f32'), cast(x.dy, 'f32')];
    const gate = sigmoid(b);
    const silu = mul(b, gate);
    const slope = mul(gate, add(mul(b, sub(1, gate)), 1));
    const dg = concat([mul(mul(dy, u), silu), mul(mul(dy, u), mul(a, slope))], 1);
    const dtype = x.g.dtype as FloatType;
    return { dg: cast(dg, dtype), du: cast(mul(dy, mul(a, silu)), dtype) };
  },
  cases: [
    { about: 'odd', inputs: { g: f(7, 38), u: f(7, 19), dy: f(7, 19) } },
    { about: 'of bf16', inputs: { g: f(7, 38), u: f(7, 19), dy: half(7, 19) } },
    { about: 'in bf16', inputs: { g: half(7, 70), u: half(7, 35), dy: half(7, 35) }, tolerance: 4e-3 },
    { about: 'bf16 of f32', inputs: { g: half(7, 38), u: half(7, 19), dy: f(7, 19) }, tolerance: 4e-3 },
  ],
});
/**
 * g [N,2F] = [a|b], u [N,F] → a ⊙ silu(b) ⊙ u [N,F] (reference 2.4: the silu is on the second half). g and u are both f32 or both bf16;
 * their gradients are of the same type.
 */
export const gatedProduct = (g: Tensor, u: Tensor, dtype: FloatType = 'f32'): Tensor =>
  productOp({ g, u }, { bf16: Number(dtype === 'bf16') }).y;
