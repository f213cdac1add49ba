/** gated_product: OpenMoE's three-factor feed-forward, a ⊙ silu(b) ⊙ u with g = [a|b].   N rows, F features. */
import { op, rules, type Spec, type Tensor } from '../graph/index.ts';
import { f, half } from './cases.ts';
import { cast } from './cast.ts';
import { add, mul, sigmoid, sub } from './elementwise.ts';
import type { FloatType } from './product-type.ts';
import { concat, sliceAxis } from './slice.ts';

const check = (name: string, x: Readonly<Record<string, Spec>>): void => {
  const [g, u] = [x['g']!, x['u']!];
  if (g.shape[1] !== 2 * u.shape[1]!) throw new TypeError(`[${name}] g: expected f[N,2F] with F=${u.shape[1]} (from u), got [${g.shape}]`);
  for (const [k, { dtype }] of Object.entries(x))
    if (dtype !== u.dtype) throw new TypeError(`[${name}] ${k}: expected ${u.dtype} (from u), got ${dtype}`);
};
const productOp = op(
  'gated_product',
  { g: 'float[N,G]', u: 'float[N,F]' },
  { y: 'float[N,F]' },
  {
    infer(x) {
      check('gated_product', x);
      return { y: x['u']! };
    },
  },
);
const gradOp = op(
  'gated_product_grad',
  { g: 'float[N,G]', u: 'float[N,F]', dy: 'float[N,F]' },
  { dg: 'float[N,G]', du: 'float[N,F]' },
  {
    infer(x) {
      check('gated_product_grad', x);
      return { dg: x['g']!, du: x['u']! };
    },
  },
);
const halves = (g: Tensor): [Tensor, Tensor] => {
  const size = g.shape[1]! / 2;
  return [sliceAxis(g, 1, { from: 0, size }), sliceAxis(g, 1, { from: size, size })];
};

rules(productOp, {
  vjp({ g, u }, { y: dy }) {
    const { dg, du } = gradOp({ g, u, dy: cast(dy!, u.dtype as FloatType) });
    return { g: dg, u: du };
  },
  ref({ g, u }, { y }, { dims: { N, F } }) {
    for (let n = 0; n < N; n++)
      for (let d = 0; d < F; d++) {
        const [a, b] = [g[n * 2 * F + d]!, g[n * 2 * F + F + d]!];
        y[n * F + d] = ((a * b) / (1 + Math.exp(-b))) * u[n * F + d]!;
      }
  },
  decompose({ g, u }) {
    const [a, b] = halves(cast(g, 'f32'));
    return { y: cast(mul(mul(a, mul(b, sigmoid(b))), cast(u, 'f32')), u.dtype as FloatType) };
  },
  cases: [
    { about: 'odd', inputs: { g: f(7, 38), u: f(7, 19) } },
    { about: 'bf16', inputs: { g: half(7, 38), u: half(7, 19) } },
    { about: 'no rows', inputs: { g: f(0, 8), u: f(0, 4) } },
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
  decompose({ g, u, dy }) {
    const [a, b] = halves(cast(g, 'f32'));
    const out = cast(dy, 'f32');
    const both = mul(out, cast(u, 'f32'));
    const gate = sigmoid(b);
    const silu = mul(b, gate);
    const slope = mul(gate, add(mul(b, sub(1, gate)), 1));
    const like = (x: Tensor): Tensor => cast(x, u.dtype as FloatType);
    return { dg: like(concat([mul(both, silu), mul(both, mul(a, slope))], 1)), du: like(mul(out, mul(a, silu))) };
  },
  cases: [
    { about: 'odd', inputs: { g: f(7, 38), u: f(7, 19), dy: f(7, 19) } },
    { about: 'bf16', inputs: { g: half(7, 64), u: half(7, 32), dy: half(7, 32) } },
  ],
});
/** g [N,2F] = [a|b], u [N,F] → a ⊙ silu(b) ⊙ u [N,F] (reference 2.4: the silu is on the second half); all in f32 or all in bf16. */
export const gatedProduct = (g: Tensor, u: Tensor): Tensor => productOp({ g, u }).y;
