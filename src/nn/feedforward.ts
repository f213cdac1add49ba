/** OpenMoE's feed-forward: a product of three factors with four matrices.   N rows, H hidden, F inner features. */
import { type FloatType, gatedProduct, matmul, type Tensor } from '../ops/index.ts';
import { layer, scaledTruncated } from './param.ts';

export interface FeedforwardConfig {
  readonly hidden: number;
  readonly inner: number;
  readonly initScale: number;
}

export const feedforward = ({ hidden, inner, initScale }: FeedforwardConfig) =>
  layer({
    params: {
      gate: scaledTruncated([hidden, 2 * inner], ['embed', 'mlp'], initScale),
      up: scaledTruncated([hidden, inner], ['embed', 'mlp'], initScale),
      down: scaledTruncated([inner, hidden], ['mlp', 'embed'], initScale),
    },
    /** The type of x is that of the products; the result is f32. */
    apply({ gate, up, down }, x: Tensor): Tensor {
      const dtype = x.dtype as FloatType;
      const inner = gatedProduct(matmul(x, gate, { dtype }), matmul(x, up, { dtype })); // [N,F]
      return matmul(inner, down); // [N,H]
    },
  });
