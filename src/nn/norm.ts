/** The norm before each sublayer.   N rows, H hidden. */
import { cast, type FloatType, mul, rmsNorm, type Tensor } from '../ops/index.ts';
import { layer, ones } from './param.ts';

export interface NormConfig {
  readonly hidden: number;
  readonly normEps: number;
  /** Type of the result, and so of every product that the layers behind multiply it in. */
  readonly precision: FloatType;
}
export interface NormInput {
  readonly x: Tensor;
  /** [N,1] 0 on padding (reference 2.7), or undefined where no row holds padding. */
  readonly mask: Tensor | undefined;
}

export const norm = (c: NormConfig) =>
  layer({
    params: { scale: ones(c.hidden) },
    apply({ scale }, { x, mask }: NormInput): Tensor {
      const dtype = c.precision;
      if (!mask) return rmsNorm(x, scale, { eps: c.normEps, dtype }); // [N,H]
      return cast(mul(rmsNorm(x, scale, { eps: c.normEps }), mask), dtype);
    },
  });
