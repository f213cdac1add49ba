/** OpenMoE's names and config in the Hugging Face checkpoints (reference 1.2 and 9.2). */
import type { DecoderConfig, SparseKind } from './decoder.ts';
import type { ForeignName } from './model.ts';

const WHOLE: Readonly<Record<string, ForeignName>> = {
  embedding: { name: 'model.embed_tokens.weight', transposed: false },
  'norm.scale': { name: 'model.norm.weight', transposed: false },
  head: { name: 'lm_head.weight', transposed: true },
};
const IN_LAYER: Readonly<Record<string, ForeignName>> = {
  'attentionNorm.scale': { name: 'input_layernorm.weight', transposed: false },
  'attention.query': { name: 'self_attn.q_proj.weight', transposed: true },
  'attention.key': { name: 'self_attn.k_proj.weight', transposed: true },
  'attention.value': { name: 'self_attn.v_proj.weight', transposed: true },
  'attention.out': { name: 'self_attn.o_proj.weight', transposed: true },
  'mlpNorm.scale': { name: 'post_attention_layernorm.weight', transposed: false },
  'mlp.gate': { name: 'mlp.gate_proj.weight', transposed: true },
  'mlp.up': { name: 'mlp.up_proj.weight', transposed: true },
  'mlp.down': { name: 'mlp.down_proj.weight', transposed: true },
  'moe.router.weight': { name: 'mlp.gate_weight', transposed: true },
  'moe.experts.gate': { name: 'mlp.experts.wi_gate', transposed: false },
  'moe.experts.up': { name: 'mlp.experts.wi_up', transposed: false },
  'moe.experts.down': { name: 'mlp.experts.wo', transposed: false },
  'extraNorm.scale': { name: 'pre_extra_mlp_layernorm.weight', transposed: false },
  'extra.gate': { name: 'extra_mlp.gate_proj.weight', transposed: true },
  'extra.up': { name: 'extra_mlp.up_proj.weight', transposed: true },
  'extra.down': { name: 'extra_mlp.down_proj.weight', transposed: true },
};

export function foreignName(path: string): ForeignName {
  const [, index, rest] = /^layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  const found = index === undefined ? WHOLE[path] : IN_LAYER[rest!];
  if (!found) throw new Error(`internal: no checkpoint name for ${path}`);
  return index === undefined ? found : { ...found, name: `model.layers.${index}.${found.name}` };
}

/** config.json; keys and constants as released. `openmoe_*` keys are ours: what the released files do not say. */
export function foreignConfig(c: DecoderConfig, kind: SparseKind): Record<string, unknown> {
  return {
    architectures: ['OpenMoeForCausalLM'],
    model_type: 'llama',
    vocab_size: c.vocab,
    hidden_size: c.hidden,
    intermediate_size: c.inner,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    num_key_value_heads: c.heads,
    head_dim: c.headSize,
    hidden_act: 'swiglu',
    mlp_gated: true,
    num_experts: c.experts,
    moe_layer_interval: c.moeInterval,
    router_topk: c.topK,
    router_capacity_factor_train: c.capacityFactorTrain,
    router_capacity_factor_eval: c.capacityFactorEval,
    router_min_capacity: c.minCapacity,
    router_noisy_policy: null,
    router_drop_tks: true,
    router_aux_loss_factor: 0.01,
    router_z_loss_factor: 0.0001,
    z_loss_factor: 0.01,
    label_smoothing: 0.001,
    dropout_rate: 0,
    rms_norm_eps: c.normEps,
    layer_norm_epsilon: c.normEps,
    rope_theta: c.ropeTheta,
    rope_scaling: null,
    max_position_embeddings: c.maxPositions,
    initializer_range: 0.02,
    pad_token_id: 0,
    bos_token_id: 0,
    eos_token_id: 1,
    tie_word_embeddings: false,
    attention_bias: false,
    pretraining_tp: 1,
    use_cache: true,
    expert_parallel: null,
    enable_kernel: false,
    enable_comm_overlap: false,
    enable_hierarchical_alltoall: false,
    enable_load_balance: false,
    load_balance_tolerance: 0.1,
    load_balance_beam_width: 8,
    load_balance_group_swap_factor: 0.4,
    torch_dtype: 'float32',
    openmoe_sparse_kind: kind,
    openmoe_dialect: c.dialect,
    openmoe_group_size: c.groupSize,
    openmoe_reference_groups: c.referenceGroups,
    openmoe_init_scale: c.initScale,
  };
}
