/** linear_cross_entropy: output projection, cross-entropy and z-loss in tiles, with both gradients in the same pass.   T tokens, D features, V vocabulary. */
import { roundBf16 } from '../base/index.ts';
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f, half, i, shifted } from './cases.ts';
import { cast } from './cast.ts';
import { add, mul } from './elementwise.ts';
import { type FloatType, multiplied } from './product-type.ts';

interface CrossEntropyAttrs {
  readonly zLoss: number;
}
const lossOp = op(
  'linear_cross_entropy',
  { h: 'float[T,D]', w: 'f[D,V]', targets: 'i[T]', scale: 'f[T]' },
  { loss: 'f[]', ce: 'f[T]', logZ: 'f[T]', dh: 'float[T,D]', dw: 'f[D,V]' },
  { attrs: { zLoss: 'number' }, infer: ({ h }, _: CrossEntropyAttrs) => ({ dh: h! }) },
);
rules(lossOp, {
  // loss is all that trains; ce and logZ are observations. dh and dw nobody reads are not computed.
  vjp({ h }, { loss: dloss }, { ce, logZ, dh, dw }, { zLoss }) {
    if (!dloss) return {};
    return {
      h: cast(mul(cast(dh, 'f32'), dloss), h.dtype as FloatType),
      w: mul(dw, dloss),
      scale: mul(add(ce, mul(mul(logZ, logZ), zLoss)), dloss),
    };
  },
  flops: ({ dims: { T, D, V } }) => 6 * T * D * V,
  ref({ targets, scale, ...factors }, { loss, ce, logZ, dh, dw }, { dims: { T, D, V }, dtypes, attrs: { zLoss } }) {
    const { h, w } = multiplied(factors, dtypes);
    const round = dtypes.h === 'bf16' && h instanceof Float32Array ? roundBf16 : (x: number) => x; // gradients of logits are multiplied too
    for (let t = 0; t < T; t++) {
      const logits = Array.from({ length: V }, (_, v) => {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += h[t * D + d]! * w[d * V + v]!;
        return sum;
      });
      const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
      const z = top + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0));
      logZ[t] = z;
      ce[t] = z - (logits[targets[t]!] ?? 0);
      loss[0]! += scale[t]! * (ce[t]! + zLoss * z * z);
      logits.forEach((x, v) => {
        const g = round(scale[t]! * ((1 + 2 * zLoss * z) * Math.exp(x - z) - (v === targets[t] ? 1 : 0)));
        for (let d = 0; d < D; d++) {
          dh[t * D + d]! += g * w[d * V + v]!;
          dw[d * V + v]! += g * h[t * D + d]!;
        }
      });
    }
  },
  cases: [
    {
      about: 'odd',
      inputs: { h: f(37, 19), w: f(19, 67), targets: i(67, 37), scale: shifted(2, 37) },
      attrs: { zLoss: 1e-2 },
      tolerance: 1e-4,
    },
    {
      about: 'targets outside the vocabulary',
      inputs: { h: f(3, 8), w: f(8, 11), targets: exact('i32', [3], [-1, 5, 11]), scale: f(3) },
      attrs: { zLoss: 0 },
      tolerance: 1e-4,
    },
    {
      about: 'bf16',
      inputs: { h: half(37, 19), w: f(19, 67), targets: i(67, 37), scale: shifted(2, 37) },
      attrs: { zLoss: 1e-2 },
      tolerance: 2e-2, // where the gradient of a logit, and the weight of its word before that, is rounded the other way
    },
    { about: 'no tokens in bf16', inputs: { h: half(0, 8), w: f(8, 11), targets: i(11, 0), scale: f(0) }, attrs: { zLoss: 0 } },
    { about: 'no tokens', inputs: { h: f(0, 8), w: f(8, 11), targets: i(11, 0), scale: f(0) }, attrs: { zLoss: 0 } },
  ],
});
/**
 * Cross-entropy of h [T,D] · w [D,V] against targets i[T], without [T,V] in memory. With h in bf16 all three products are of bf16.
 * loss [] = Σ scale·(ce + zLoss·logZ²); ce [T] and logZ [T] per token are observations without gradient.
 * A target outside the vocabulary has no correct class: ce = logZ.
 */
export function linearCrossEntropy(inputs: { h: Tensor; w: Tensor; targets: Tensor; scale: Tensor }, attrs: CrossEntropyAttrs) {
  const { loss, ce, logZ } = lossOp(inputs, attrs);
  return { loss, ce, logZ };
}
