/** The decoder that every family here shares.   B rows, S tokens a row, N = B·S, H hidden, V vocabulary, M longest context. */
import {
  add,
  attentionLayer,
  equal,
  feedforward,
  type FloatType,
  full,
  gather,
  iota,
  less,
  max,
  mul,
  type Mode,
  moe,
  norm,
  normal,
  type ParamTree,
  reshape,
  scaledTruncated,
  scope,
  sliceAxis,
  tap,
  type Tensor,
  toF32,
  concat,
  type Values,
  type CapacityConfig,
} from '../nn/index.ts';

export interface DecoderConfig extends CapacityConfig {
  readonly vocab: number;
  readonly hidden: number;
  /** Inner features F of a feed-forward and of each expert. */
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly headSize: number;
  /** Every interval-th layer, counted from its end, is a MoE layer: (i + 1) mod interval = 0. */
  readonly moeInterval: number;
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly normEps: number;
  /** What matrix products multiply; the residual stream, norms, softmax, router and losses are f32. */
  readonly precision: FloatType;
  /** 0.1 for OpenMoE, 1 for its dense counterparts (reference 4.1). */
  readonly initScale: number;
}

/** What stands where a MoE layer would: `moe` with an extra feed-forward after it, `twin` of equal active FLOPs, or nothing special. */
export type SparseKind = 'moe' | 'twin' | 'none';

export interface DecoderInput {
  /** i[N] decoder input ids. */
  readonly tokens: Tensor;
  /** i[B,S] segment of each token, 0 for padding. */
  readonly segments: Tensor;
  readonly mode: Mode;
  /** Rows may hold padding: normed inputs are masked as the reference does (2.7), at the cost of a pass each. */
  readonly padded: boolean;
}

export interface DecoderOutput {
  /** f[N,H] after the final norm. */
  readonly hidden: Tensor;
  /** [] means over MoE layers; absent without MoE layers. */
  readonly routerLosses: { readonly balanceLoss: Tensor; readonly routerZ: Tensor } | undefined;
}

export const isSparse = (c: Pick<DecoderConfig, 'moeInterval'>, index: number): boolean => (index + 1) % c.moeInterval === 0;

export function decoder(c: DecoderConfig, kind: SparseKind) {
  const layers = Array.from({ length: c.layers }, (_, i) => block(c, isSparse(c, i) ? kind : 'none'));
  const finalNorm = norm(c);
  const params = {
    embedding: normal([c.vocab, c.hidden], ['vocab', 'embed'], 1),
    layers: Object.fromEntries(layers.map((l, i) => [String(i), l.params])),
    norm: finalNorm.params,
    head: scaledTruncated([c.hidden, c.vocab], ['embed', 'vocab'], c.initScale),
  } satisfies ParamTree;
  return {
    params,
    apply(p: Values<typeof params>, input: DecoderInput): DecoderOutput {
      const [rows, length] = input.segments.shape as [number, number];
      const positions = reshape(iota([rows, length], 1), [rows * length]);
      const mask = input.padded ? logitMask(input.tokens, rows, length) : undefined;
      let h = gather(p.embedding, input.tokens); // [N,H]
      const losses: { balanceLoss: Tensor; routerZ: Tensor }[] = [];
      layers.forEach((l, i) => {
        const out = scope(`layers.${i}`, () => l.apply(p.layers[String(i)]!, h, { ...input, positions, mask }));
        h = out.h;
        if (out.losses) losses.push(out.losses);
      });
      const hidden = finalNorm.apply(p.norm, { x: h, mask });
      return { hidden, routerLosses: averaged(losses) };
    },
  };
}

interface Context extends DecoderInput {
  readonly positions: Tensor;
  readonly mask: Tensor | undefined;
}

/** One layer: attention, then the feed-forward or the MoE; after those of sparse layers an extra feed-forward with its own norm (2.1). */
function block(c: DecoderConfig, kind: SparseKind) {
  const attend = attentionLayer(c);
  const normed = norm(c);
  const experts = moe(c);
  const dense = feedforward({ ...c, inner: kind === 'twin' ? 2 * c.inner : c.inner });
  const extra = feedforward(c);
  const params: ParamTree = {
    attentionNorm: normed.params,
    attention: attend.params,
    mlpNorm: normed.params,
    ...(kind === 'moe' ? { moe: experts.params } : { mlp: dense.params }),
    ...(kind !== 'none' && { extraNorm: normed.params, extra: extra.params }),
  };
  return {
    params,
    apply(values: Values<ParamTree>, x: Tensor, { mask, mode, segments, positions }: Context) {
      const p = values as unknown as Values<BlockParams>;
      const [rows, length] = segments.shape as [number, number];
      const attended = attend.apply(p.attention, { x: normed.apply(p.attentionNorm, { x, mask }), segments, positions });
      let h = add(x, attended);
      const m = normed.apply(p.mlpNorm, { x: h, mask });
      const sparse = kind === 'moe' ? experts.apply(p.moe, { x: m, rows, length, mode, alone: false }) : undefined;
      h = add(h, sparse ? sparse.y : dense.apply(p.mlp, m));
      if (kind !== 'none') h = add(h, extra.apply(p.extra, normed.apply(p.extraNorm, { x: h, mask })));
      tap('residual', { h });
      return { h, losses: sparse };
    },
  };
}
type BlockParams = {
  attentionNorm: ReturnType<typeof norm>['params'];
  attention: ReturnType<typeof attentionLayer>['params'];
  mlpNorm: ReturnType<typeof norm>['params'];
  moe: ReturnType<typeof moe>['params'];
  mlp: ReturnType<typeof feedforward>['params'];
  extraNorm: ReturnType<typeof norm>['params'];
  extra: ReturnType<typeof feedforward>['params'];
};

function averaged(losses: readonly { balanceLoss: Tensor; routerZ: Tensor }[]): DecoderOutput['routerLosses'] {
  if (losses.length === 0) return undefined;
  const average = (of: 'balanceLoss' | 'routerZ'): Tensor =>
    mul(
      losses.map((l) => l[of]).reduce((a, b) => add(a, b)),
      1 / losses.length,
    );
  return { balanceLoss: average('balanceLoss'), routerZ: average('routerZ') };
}

/** [N,1] 1 where the id at t or at t+1 is above 0, or t = 0 (reference 2.7). */
export function logitMask(tokens: Tensor, rows: number, length: number): Tensor {
  const ids = reshape(tokens, [rows, length]);
  const next = concat([sliceAxis(ids, 1, { from: 1, size: length - 1 }), full([rows, 1], 0, 'i32')], 1);
  const first = equal(iota([rows, length], 1), 0);
  return reshape(toF32(max(first, max(less(0, ids), less(0, next)))), [rows * length, 1]);
}
