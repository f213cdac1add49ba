/** gated_product: OpenMoE's three-factor feed-forward, a ⊙ silu(b) ⊙ u with g = [a|b].   N rows, F features. */
import { op, rules, type Spec, type Tensor } from '../graph/index.ts';
import { f } from './cases.ts';
import { add, mul, sigmoid, sub } from './elementwise.ts';
import { concat, sliceAxis } from './slice.ts';

const check = (name: string, x: Readonly<Record<string, Spec>>): void => {
  const [g, u] = [x['g']!.shape, x['u']!.shape];
  if (g[1] !== 2 * u[1]!) throw new TypeError(`[${name}] g: expected f[N,2F] with F=${u[1]} (from u), got [${g}]`);
};
const productOp = op(
  'gated_product',
  { g: 'f[N,G]', u: 'f[N,F]' },
  { y: 'f[N,F]' },
  {
    infer(x) {
      check('gated_product', x);
      return { y: { dtype: 'f32', shape: x['u']!.shape } };
    },
  },
);
const gradOp = op(
  'gated_product_grad',
  { g: 'f[N,G]', u: 'f[N,F]', dy: 'f[N,F]' },
  { dg: 'f[N,G]', du: 'f[N,F]' },
  {
    infer(x) {
      check('gated_product_grad', x);
      return { dg: { dtype: 'f32', shape: x['g']!.shape }, du: { dtype: 'f32', shape: x['u']!.shape } };
    },
  },
);
const halves = (g: Tensor): [Tensor, Tensor] => {
  const size = g.shape[1]! / 2;
  return [sliceAxis(g, 1, { from: 0, size }), sliceAxis(g, 1, { from: size, size })];
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
  decompose({ g, u }) {
    const [a, b] = halves(g);
    return { y: mul(mul(a, mul(b, sigmoid(b))), u) };
  },
  cases: [
    { about: 'odd', inputs: { g: f(7, 38), u: f(7, 19) } },
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
    const [a, b] = halves(g);
    const gate = sigmoid(b);
    const silu = mul(b, gate);
    const slope = mul(gate, add(mul(b, sub(1, gate)), 1));
    return { dg: concat([mul(mul(dy, u), silu), mul(mul(dy, u), mul(a, slope))], 1), du: mul(dy, mul(a, silu)) };
  },
  cases: [{ about: 'odd', inputs: { g: f(7, 38), u: f(7, 19), dy: f(7, 19) } }],
});
/** g [N,2F] = [a|b], u [N,F] → a ⊙ silu(b) ⊙ u [N,F] (reference 2.4: the silu is on the second half). */
export const gatedProduct = (g: Tensor, u: Tensor): Tensor => productOp({ g, u }).y;
