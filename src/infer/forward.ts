/** The decoder as inference runs it: attention comes from outside, products from any form of weights.   B rows, S tokens a row, N = B·S, H hidden. */
import { add, gather, type Model, mul, rmsNorm, scope, type Tensor, throughExperts } from './vocabulary.ts';
import type { Products } from './products.ts';

export interface Reading {
  /** i[N]. */
  readonly tokens: Tensor;
  readonly rows: number;
  readonly length: number;
  /** Every row is a routing group of its own. */
  readonly alone: boolean;
  /** [N,1] 0 where a row is padded: there normed inputs are zero (reference 2.7). */
  readonly mask?: Tensor;
  /** Answers [N,D] of a layer's attention to its queries, keys and values [N,3D]. */
  attend(qkv: Tensor, layer: number): Tensor;
}

/** [N,H] after the final norm: what `model.apply` computes, by these products. */
export function forward(model: Model, by: Products, weight: (path: string) => Tensor, reading: Reading): Tensor {
  const c = model.config;
  const normed = (x: Tensor, path: string): Tensor => {
    const y = rmsNorm(x, weight(`${path}.scale`), { eps: c.normEps });
    return reading.mask ? mul(y, reading.mask) : y;
  };
  const paths = new Set(model.list.map((p) => p.path));
  let h = gather(weight('embedding'), reading.tokens);
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `layers.${layer}`;
    h = scope(at, () => {
      const attended = by.out(reading.attend(by.qkv(normed(h, `${at}.attentionNorm`), at), layer), at);
      let x = add(h, attended);
      const m = normed(x, `${at}.mlpNorm`);
      x = add(x, model.moeLayers.includes(layer) ? sparse(model, by, weight, { m, at, reading }) : by.feedforward(m, `${at}.mlp`));
      if (paths.has(`${at}.extraNorm.scale`)) x = add(x, by.feedforward(normed(x, `${at}.extraNorm`), `${at}.extra`));
      return x;
    });
  }
  return normed(h, 'norm');
}

interface Sparse {
  readonly m: Tensor;
  readonly at: string;
  readonly reading: Reading;
}
function sparse({ config }: Model, by: Products, weight: (path: string) => Tensor, { m, at, reading }: Sparse): Tensor {
  const { rows, length, alone } = reading;
  const input = { x: m, rows, length, mode: 'eval', alone } as const;
  return throughExperts(config, weight(`${at}.moe.router.weight`), input, (seated, sizes) => by.experts(seated, `${at}.moe.experts`, sizes))
    .y;
}
