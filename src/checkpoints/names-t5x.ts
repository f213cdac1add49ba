/** The paths of T5X's training checkpoints, below `target/` (reference 9.2); kernels are [in,out], as ours. */
import type { Parameter, Place } from './names.ts';

const WHOLE: Readonly<Record<string, string>> = {
  embedding: 'token_embedder/embedding',
  'norm.scale': 'decoder/decoder_norm/scale',
  head: 'decoder/logits_dense/kernel',
};
const IN_LAYER: Readonly<Record<string, string>> = {
  'attentionNorm.scale': 'pre_self_attention_layer_norm/scale',
  'attention.query': 'self_attention/query/kernel',
  'attention.key': 'self_attention/key/kernel',
  'attention.value': 'self_attention/value/kernel',
  'attention.out': 'self_attention/out/kernel',
  'mlpNorm.scale': 'pre_mlp_layer_norm/scale',
  'mlp.gate': 'mlp/wi_0/kernel',
  'mlp.up': 'mlp/wi_1/kernel',
  'mlp.down': 'mlp/wo/kernel',
  'moe.router.weight': 'mlp/router/router_weights/w/kernel',
  'moe.experts.gate': 'mlp/expert/wi_0/kernel',
  'moe.experts.up': 'mlp/expert/wi_1/kernel',
  'moe.experts.down': 'mlp/expert/wo/kernel',
  'extraNorm.scale': 'pre_extra_mlp_layer_norm/scale',
  'extra.gate': 'extra_mlp/wi_0/kernel',
  'extra.up': 'extra_mlp/wi_1/kernel',
  'extra.down': 'extra_mlp/wo/kernel',
};

export function placeT5x({ path }: Parameter): Place {
  const [, index, rest] = /^layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  const found = index === undefined ? WHOLE[path] : IN_LAYER[rest!];
  if (found === undefined) throw new Error(`internal: no T5X path for ${path}`);
  return { names: [index === undefined ? found : `decoder/layers_${index}/${found}`], transposed: false, stacked: false };
}
