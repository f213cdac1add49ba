/** ops: what the language of computation can say. Must not know who executes it. */
export * from '../graph/index.ts';
export { adafactor, adafactorFactored } from './adafactor.ts';
export { adamw } from './adamw.ts';
export { assignSlots, type Slots } from './assign-slots.ts';
export { attention, attentionGrad, type AttentionInputs } from './attention.ts';
export { barrier } from './barrier.ts';
export { aligned, broadcast } from './broadcast.ts';
export { cast } from './cast.ts';
export { cachedAttention, type CachedAttention } from './cached-attention.ts';
export { full, iota, scalar } from './constant.ts';
export { cumsum } from './cumsum.ts';
export { combine, dispatch } from './dispatch.ts';
export { dynamicUpdateSlice } from './dynamic-update-slice.ts';
export {
  abs,
  add,
  div,
  equal,
  exp,
  floor,
  less,
  lessEqual,
  log,
  max,
  min,
  mul,
  neg,
  rsqrt,
  select,
  sigmoid,
  sqrt,
  sub,
  tanh,
  toF32,
  toI32,
  unary,
} from './elementwise.ts';
export { gatedProduct } from './gated-product.ts';
export { gather, scatterAdd } from './gather.ts';
export { groupedMatmul } from './grouped-matmul.ts';
export { linearCrossEntropy } from './linear-cross-entropy.ts';
export { matmul } from './matmul.ts';
export { packWeights } from './pack-weights.ts';
export { packedFeedforward, type PackedFeedforward } from './packed-feedforward.ts';
export { packedMatmul } from './packed-matmul.ts';
export { PACKED_BITS, type PackedBits, packedShape } from './packing.ts';
export type { FloatType } from './product-type.ts';
export { mean, reduceMax, reduceSum, sum } from './reduce.ts';
export { reshape } from './reshape.ts';
export { rmsNorm } from './rms-norm.ts';
export { rotaryAngles } from './rotary-angles.ts';
export { rope } from './rope.ts';
export { concat, pad, slice, sliceAxis } from './slice.ts';
export { logsumexp, softmax } from './softmax.ts';
export { putLast, takeLast } from './take-last.ts';
export { topk } from './topk.ts';
export { transpose } from './transpose.ts';
