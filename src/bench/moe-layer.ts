/** A MoE layer, forward and backward, beside the dense layer of equal active FLOPs.   H hidden, F inner features, E experts. */
import { feedforward, flatten, gradient, moe, mul, OPENMOE_DEFAULTS, type ParamTree, sum, type Tensor, unflatten } from '../infer/index.ts';
import { f, type Kernel, operandIn, type Products } from './kernel.ts';
import { NO_DROPS } from './configs.ts';

const [ROWS, HIDDEN, INNER] = [2048, 768, 512];
const TWIN = 'dense layer, forward and backward';

/** Gradients of x [rows,H] and of every parameter, from a gradient of the output. */
function layer(
  dtype: Products,
  rows: number,
  params: ParamTree,
  apply: (weight: (path: string) => Tensor, x: Tensor) => Tensor,
): Pick<Kernel, 'dtype' | 'specs' | 'build'> {
  const paths = flatten(params).map(([path, { shape }]) => [path, shape] as const);
  return {
    dtype,
    specs: {
      x: operandIn(dtype)(rows, HIDDEN),
      dy: f(rows, HIDDEN),
      ...Object.fromEntries(paths.map(([path, shape]) => [path, f(...shape)])),
    },
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

const dense = (dtype: Products): Kernel => ({
  ...layer(dtype, ROWS, twin.params, (weight, x) => twin.apply(unflatten(twin.params, weight), x)),
  name: TWIN,
  shape: `${ROWS}×${HIDDEN}×${2 * INNER}`,
  like: { name: 'moe_layer', way: 'dense twin', hidden: HIDDEN, ff: INNER },
});

function sparse(dtype: Products, experts: number, rows: number): Pick<Kernel, 'dtype' | 'specs' | 'build' | 'shape'> {
  const { params, apply } = moe({ ...OPENMOE_DEFAULTS, ...NO_DROPS, ...config, experts });
  const answer = (weight: (path: string) => Tensor, x: Tensor): Tensor =>
    apply(unflatten(params, weight), { x, rows: 1, length: rows, mode: 'train', alone: false }).y;
  return { ...layer(dtype, rows, params, answer), shape: `${rows}×${HIDDEN}×${INNER}` };
}

/** Few or many experts for as many tokens. */
const shared = (dtype: Products, experts: number): Kernel => ({
  ...sparse(dtype, experts, ROWS),
  name: `MoE layer of ${experts} experts, forward and backward`,
  like: { name: 'moe_layer', experts, hidden: HIDDEN, ff: INNER },
  twin: TWIN,
});

/** Tokens of an expert, each of which visits two. */
const EACH = 64;
/** As many tokens for each of few or many experts: their shares of the peak should be alike. */
const even = (dtype: Products, experts: number): Kernel => ({
  ...sparse(dtype, experts, (experts * EACH) / OPENMOE_DEFAULTS.topK),
  name: `MoE layer of ${experts} experts for ${EACH} tokens each, forward and backward`,
});

/** The dense one first: those for as many tokens are compared to it. */
export const moeLayers = (dtype: Products): readonly Kernel[] => [
  dense(dtype),
  ...[8, 16, 64, 256].map((experts) => shared(dtype, experts)),
  ...[8, 64, 256].map((experts) => even(dtype, experts)),
];
