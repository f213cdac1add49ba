/** config.json → model: the released key names, those of older releases, and the short ones of the JAX fixtures. */
import { EXIT, UserError } from '../base/index.ts';
import { type DecoderConfig, DIALECTS, FAMILIES, type Family, type Model } from '../models/index.ts';

export const CONFIG = 'config.json';

/** Older releases and training configurations call some keys otherwise. */
export const ALIASES: Readonly<Record<string, readonly string[]>> = {
  vocab_size: ['vocab'],
  hidden_size: ['hidden'],
  intermediate_size: ['ffn'],
  num_hidden_layers: ['layers'],
  num_attention_heads: ['heads'],
  moe_layer_interval: ['interval'],
  num_experts: ['experts'],
  router_topk: ['topk', 'top_k'],
  router_capacity_factor_train: ['capacity_factor_train'],
  router_capacity_factor_eval: ['capacity_factor_eval'],
  router_min_capacity: ['min_capacity'],
  rms_norm_eps: ['layer_norm_epsilon'],
  openmoe_group_size: ['group_size'],
};
/** What the model computes with, whatever the file says: another value means another architecture. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ['swiglu'],
  mlp_gated: [true],
  attention_bias: [false],
  rope_scaling: [null],
  tie_word_embeddings: [false],
  model_type: ['llama', 'openmoe'],
};
export const ARCHITECTURES = ['OpenMoeForCausalLM', 'HFOpenMoeForCausalLM'];

/** Family by what stands where a MoE layer would. */
const FAMILY_OF: Readonly<Record<string, Family>> = { moe: 'openmoe', twin: 'dense-twin', none: 'dense' };

export interface ReadConfig {
  readonly family: Family;
  readonly config: DecoderConfig;
}
export const modelOf = ({ family, config }: ReadConfig): Model => FAMILIES[family](config);

/** More than these are a mistake, and would take long to lay out. */
const MOST: Readonly<Record<string, number>> = { num_hidden_layers: 10_000, num_experts: 100_000 };

/** Throws UserErrors E_ARCHITECTURE or E_MODEL_CONFIG (exit 4) naming every key at fault. */
export function readConfig(config: Readonly<Record<string, unknown>>, place: string): ReadConfig {
  refuseOther(config, place);
  const given = (key: string): unknown => config[key] ?? ALIASES[key]?.map((a) => config[a]).find((v) => v !== undefined && v !== null);
  const wrong: string[] = [];
  const number = (key: string, least: number, fallback?: number): number => {
    const value = given(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least) wrong.push(key);
    return value as number;
  };
  const count = (key: string, fallback?: number): number => {
    const value = number(key, 1, fallback);
    if (!wrong.includes(key) && (!Number.isSafeInteger(value) || value > (MOST[key] ?? Infinity))) wrong.push(key);
    return value;
  };
  const c: DecoderConfig = {
    vocab: count('vocab_size'),
    hidden: count('hidden_size'),
    inner: count('intermediate_size'),
    layers: count('num_hidden_layers'),
    heads: count('num_attention_heads'),
    headSize: count('head_dim'),
    moeInterval: count('moe_layer_interval'),
    experts: count('num_experts'),
    topK: count('router_topk'),
    dialect: (config['openmoe_dialect'] ?? dialectOf(given)) as DecoderConfig['dialect'],
    groupSize: count('openmoe_group_size', 4096),
    referenceGroups: config['openmoe_reference_groups'] === true,
    capacityFactorTrain: number('router_capacity_factor_train', 0),
    capacityFactorEval: number('router_capacity_factor_eval', 0),
    minCapacity: number('router_min_capacity', 0),
    maxPositions: count('max_position_embeddings', 2048),
    ropeTheta: number('rope_theta', 0, 10_000),
    normEps: number('rms_norm_eps', 0, 1e-6),
    precision: 'f32',
    initScale: number('openmoe_init_scale', 0, 0.1),
  };
  if (!DIALECTS.includes(c.dialect)) wrong.push('openmoe_dialect');
  const kind = config['openmoe_sparse_kind'] ?? 'moe';
  const family = typeof kind === 'string' && Object.hasOwn(FAMILY_OF, kind) ? FAMILY_OF[kind] : undefined;
  if (!family) wrong.push('openmoe_sparse_kind');
  if (wrong.length > 0)
    throw new UserError(
      'E_MODEL_CONFIG',
      EXIT.damaged,
      wrong.map((key) => ({
        message: `${key}: ${JSON.stringify(given(key)) ?? 'missing'} is not what an OpenMoE config holds`,
        place,
      })),
    );
  return { family: family!, config: c };
}

/** Released files do not say how tokens are grouped: under `transformers` their logits are those of [T]. Only training in JAX names a group's size. */
const dialectOf = (given: (key: string) => unknown): DecoderConfig['dialect'] =>
  given('openmoe_group_size') === undefined ? 'torch' : 'jax';

/** Models of other architectures have configs much like ours: computing with their weights would give nonsense. */
function refuseOther(config: Readonly<Record<string, unknown>>, place: string): void {
  const { architectures } = config;
  const names = Array.isArray(architectures) ? architectures : architectures === undefined ? [] : [architectures];
  const problems = [
    ...(names.length > 0 && !names.some((name) => ARCHITECTURES.includes(name as string))
      ? [
          {
            message: `architecture ${JSON.stringify(names).slice(0, 200)} is not known here`,
            place,
            hint: `known: ${ARCHITECTURES.join(', ')}`,
          },
        ]
      : []),
    ...Object.entries(FIXED)
      .filter(([key, values]) => config[key] !== undefined && !values.includes(config[key]))
      .map(([key, values]) => ({
        message: `${key} is ${JSON.stringify(config[key])?.slice(0, 100)}: the model here has ${values.map((v) => JSON.stringify(v)).join(' or ')}`,
        place,
      })),
    ...(typeof config['num_key_value_heads'] === 'number' && config['num_key_value_heads'] !== config['num_attention_heads']
      ? [{ message: 'num_key_value_heads is not num_attention_heads: grouped queries are not known here', place }]
      : []),
  ];
  if (problems.length > 0) throw new UserError('E_ARCHITECTURE', EXIT.damaged, problems);
}
