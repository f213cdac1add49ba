/** Weights that are a function of their name and index: checkpoints of any size that everyone can make for themselves (fixtures/torch/README.md). */
import { EXIT, fnv1a, mix32, UserError } from '../base/index.ts';
import { configFile, GENERATION, generationConfig } from './config-file.ts';
import { CONFIG, modelOf, readConfig } from './config.ts';
import { groupAxisOf } from './convert.ts';
import { placedTensors } from './names.ts';
import { computedSource } from './source.ts';
import { type OutFolder, type Writing, writeTensors, type Written } from './write-tensors.ts';

export interface Formula {
  /** As config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  /** By kind of tensor: the last part of its released name before `.weight`; every norm is `norm`. */
  readonly scales: Readonly<Record<string, number>>;
}

/** OpenMoE-Base at its real size, 799,663,104 parameters, as the reference outputs of base-size.json have it. */
export const BASE_SIZE: Formula = {
  config: {
    vocab_size: 256_384,
    hidden_size: 768,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    head_dim: 64,
    num_experts: 16,
    moe_layer_interval: 4,
    router_topk: 2,
    router_capacity_factor_train: 1.25,
    router_capacity_factor_eval: 2,
    router_min_capacity: 4,
  },
  seed: 20_240_129,
  scales: {
    embed_tokens: 1.73205,
    q_proj: 0.01172,
    k_proj: 0.0625,
    v_proj: 0.0625,
    o_proj: 0.0625,
    gate_proj: 0.075,
    up_proj: 0.075,
    down_proj: 0.04593,
    wi_gate: 0.075,
    wi_up: 0.075,
    wo: 0.07655,
    gate_weight: 0.09375,
    lm_head: 0.0625,
    norm: 0.1,
  },
};

/** A formula in JSON, of whose keys others than these are left alone. Throws UserErrors E_FORMULA (usage), E_MODEL_CONFIG, E_ARCHITECTURE. */
export function readFormula(json: Readonly<Record<string, unknown>>, place: string): Formula {
  const { config, seed, scales } = json;
  const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
  const problem = !isObject(config)
    ? 'config is not an object'
    : !Number.isSafeInteger(seed)
      ? 'seed is not a whole number'
      : !isObject(scales) || !Object.values(scales).every((s) => typeof s === 'number')
        ? 'scales are not numbers by kind of tensor'
        : undefined;
  if (problem !== undefined) throw new UserError('E_FORMULA', EXIT.usage, { message: problem, place });
  return { config, seed, scales } as Formula;
}

/** Kind of a tensor, by its released name. */
export const kindOf = (name: string): string => {
  const kind = name
    .replace(/\.weight$/, '')
    .split('.')
    .at(-1)!;
  return kind.endsWith('norm') ? 'norm' : kind;
};

/** w[i] = offset + scale · (2u − 1), u the upper 24 bits of a hash of i + seed and the name ÷ 2^24; rounded once, to f32. */
export function fillByFormula(
  name: string,
  { seed, scale }: { readonly seed: number; readonly scale: number },
): (at: number, values: Float32Array) => void {
  const key = fnv1a(name);
  const offset = kindOf(name) === 'norm' ? 1 : 0;
  return (at, values) => {
    for (let i = 0; i < values.length; i++) {
      const u = (mix32(mix32((at + i + seed) | 0) ^ key) >>> 8) / 16_777_216;
      values[i] = offset + scale * (2 * u - 1);
    }
  };
}

/** Writes the checkpoint under the released names. Throws UserErrors E_FORMULA, E_MODEL_CONFIG, and what writing throws. */
export async function makeFormula(
  formula: Formula,
  { out, place, ...writing }: Writing & { readonly out: OutFolder; readonly place: string },
): Promise<Written> {
  const model = modelOf(readConfig(formula.config, place));
  const tensors = placedTensors(model, 'hf');
  const without = [...new Set(tensors.map((t) => kindOf(t.name)).filter((kind) => formula.scales[kind] === undefined))];
  if (without.length > 0)
    throw new UserError(
      'E_FORMULA',
      EXIT.usage,
      without.map((kind) => ({ message: `there is no scale for ${kind}`, place })),
    );
  const sources = tensors.map((t) => ({
    name: t.name,
    source: computedSource(t.shape, fillByFormula(t.name, { seed: formula.seed, scale: formula.scales[kindOf(t.name)]! })),
    groupAxis: groupAxisOf(t),
  }));
  const written = await writeTensors(out, sources, writing);
  await out.writeWhole(CONFIG, configFile(model, { names: 'hf', dtype: writing.type, like: formula.config }));
  await out.writeWhole(GENERATION, generationConfig(model));
  return written;
}
