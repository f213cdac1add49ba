/** The norm before each sublayer.   N rows, H hidden. */
import { mul, rmsNorm, type Tensor } from '../ops/index.ts';
import { layer, ones } from './param.ts';

export interface NormConfig {
  readonly hidden: number;
  readonly normEps: number;
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
      const y = rmsNorm(x, scale, { eps: c.normEps }); // [N,H]
      return mask ? mul(y, mask) : y;
    },
  });
