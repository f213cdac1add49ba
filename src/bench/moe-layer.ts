/** A MoE layer, forward and backward, beside the dense layer of equal active FLOPs.   H hidden, F inner features, E experts. */
import { feedforward, flatten, gradient, moe, mul, OPENMOE_DEFAULTS, type ParamTree, sum, type Tensor, unflatten } from '../infer/index.ts';
import { f, type Kernel } from './kernel.ts';
import { NO_DROPS } from './configs.ts';

const [ROWS, HIDDEN, INNER] = [2048, 768, 512];
const TWIN = 'dense layer, forward and backward';

/** Gradients of x and of every parameter, from a gradient of the output. */
function layer(
  name: string,
  params: ParamTree,
  apply: (weight: (path: string) => Tensor, x: Tensor) => Tensor,
): Pick<Kernel, 'name' | 'dtype' | 'specs' | 'build'> {
  const paths = flatten(params).map(([path, { shape }]) => [path, shape] as const);
  return {
    name,
    dtype: 'f32',
    specs: { x: f(ROWS, HIDDEN), dy: f(ROWS, HIDDEN), ...Object.fromEntries(paths.map(([path, shape]) => [path, f(...shape)])) },
    build(args) {
      const y = apply((path) => args[path]!, args['x']!);
      const wanted = ['x', ...paths.map(([path]) => path)];
      const grads = gradient(
        sum(mul(y, args['dy']!)),
        wanted.map((k) => args[k]!),
      );
      return { y, ...Object.fromEntries(wanted.map((k, n) => [`d ${k}`, grads[n]!])) };
    },
  };
}

const config = { hidden: HIDDEN, inner: INNER, initScale: OPENMOE_DEFAULTS.initScale };
const twin = feedforward({ ...config, inner: 2 * INNER });
const dense: Kernel = {
  ...layer(TWIN, twin.params, (weight, x) => twin.apply(unflatten(twin.params, weight), x)),
  shape: `${ROWS}×${HIDDEN}×${2 * INNER}`,
  like: { name: 'moe_layer', way: 'dense twin', hidden: HIDDEN, ff: INNER },
};

function sparse(experts: number): Kernel {
  const { params, apply } = moe({ ...OPENMOE_DEFAULTS, ...NO_DROPS, ...config, experts });
  return {
    ...layer(
      `MoE layer of ${experts} experts, forward and backward`,
      params,
      (weight, x) => apply(unflatten(params, weight), { x, rows: 1, length: ROWS, mode: 'train' }).y,
    ),
    shape: `${ROWS}×${HIDDEN}×${INNER}`,
    like: { name: 'moe_layer', experts, hidden: HIDDEN, ff: INNER },
    twin: TWIN,
  };
}

/** The dense one first: the others are compared to it. */
export const MOE_LAYERS: readonly Kernel[] = [dense, ...[8, 16, 64, 256].map(sparse)];
