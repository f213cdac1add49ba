/** config.json as it is written: every key of the releases, what the source said kept, and what the names and types demand. */
import type { Model } from '../models/index.ts';
import { ALIASES, ARCHITECTURES } from './config.ts';
import type { NameScheme } from './names.ts';
import type { OutType } from './write-tensors.ts';

export const GENERATION = 'generation_config.json';

/** `like`: the config.json of the source, {} where there is none. */
export function configFile(
  model: Model,
  { names, dtype, like }: { readonly names: NameScheme; readonly dtype: OutType; readonly like: Readonly<Record<string, unknown>> },
): Uint8Array {
  const older = new Set(
    Object.values(ALIASES)
      .flat()
      .filter((key) => key !== 'layer_norm_epsilon'),
  );
  const own = 'architectures' in like ? Object.entries(like).filter(([key]) => !older.has(key)) : [];
  const {
    auto_map: autoMap,
    openmoe_weights: _,
    ...config
  } = { ...model.foreignConfig(), ...Object.fromEntries(own) } as Record<string, unknown>;
  const port = names === 'native-pt';
  const written: Record<string, unknown> = {
    transformers_version: '4.34.0',
    ...config,
    architectures: [ARCHITECTURES[port ? 1 : 0]],
    model_type: port ? 'openmoe' : 'llama',
    ...(!port && { auto_map: autoMap ?? { AutoModelForCausalLM: 'modeling_openmoe.OpenMoeForCausalLM' } }),
    torch_dtype: { f32: 'float32', f16: 'float16', bf16: 'bfloat16', int8: 'float32' }[dtype],
    ...(dtype === 'int8' && { openmoe_weights: 'int8' }),
  };
  const sorted = Object.fromEntries(Object.entries(written).sort(([a], [b]) => (a < b ? -1 : 1)));
  return new TextEncoder().encode(`${JSON.stringify(sorted, null, 2)}\n`);
}

/** generation_config.json of a model that comes without one. */
export const generationConfig = (model: Model): Uint8Array =>
  new TextEncoder().encode(
    `${JSON.stringify({ bos_token_id: 0, eos_token_id: 1, pad_token_id: 0, max_length: model.config.maxPositions }, null, 2)}\n`,
  );
