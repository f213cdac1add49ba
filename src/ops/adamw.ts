/** adamw: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101). */
import { op, requireAlike, rules, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

interface AdamwAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}
const adamwOp = op(
  'adamw',
  { w: 'f[*]', g: 'f[*]', m: 'f[*]', v: 'f[*]', lr: 'f[]', step: 'f[]' },
  { w: 'f[*]', m: 'f[*]', v: 'f[*]' },
  {
    attrs: { beta1: 'number', beta2: 'number', eps: 'number', weightDecay: 'number' },
    updates: { w: 'w', m: 'm', v: 'v' },
    infer(x, _: AdamwAttrs) {
      requireAlike('adamw', x, ['w', 'g', 'm', 'v']);
      return { w: x['w']!, m: x['m']!, v: x['v']! };
    },
  },
);
rules(adamwOp, {
  ref(x, y, { attrs: { beta1, beta2, eps, weightDecay } }) {
    const [lr, step] = [x.lr[0]!, x.step[0]!];
    for (let i = 0; i < x.w.length; i++) {
      y.m[i] = beta1 * x.m[i]! + (1 - beta1) * x.g[i]!;
      y.v[i] = beta2 * x.v[i]! + (1 - beta2) * x.g[i]! ** 2;
      const update = y.m[i]! / (1 - beta1 ** step) / (Math.sqrt(y.v[i]! / (1 - beta2 ** step)) + eps);
      y.w[i] = x.w[i]! - lr * (update + weightDecay * x.w[i]!);
    }
  },
  cases: [
    {
      about: 'third step',
      inputs: {
        w: f(5, 37),
        g: f(5, 37),
        m: f(5, 37),
        v: exact(
          'f32',
          [5, 37],
          Array.from({ length: 185 }, (_, i) => 0.1 + (i % 5)),
        ),
        lr: exact('f32', [], [0.01]),
        step: exact('f32', [], [3]),
      },
      attrs: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 },
    },
  ],
});
/** One update of w with moments m and v; `step` counts from 1. */
export const adamw = (
  x: { w: Tensor; g: Tensor; m: Tensor; v: Tensor; lr: Tensor; step: Tensor },
  attrs: AdamwAttrs,
): { w: Tensor; m: Tensor; v: Tensor } => adamwOp(x, attrs);
