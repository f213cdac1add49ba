/** The models that the JAX reference ran: sizes, weights under both names, batches.   B rows, S tokens a row. */
import { placeOf } from '../checkpoints/index.ts';
import { EXIT, UserError } from '../base/index.ts';
import { type FixtureFolder, readJson, type Tensors } from './reading.ts';
import { type LossConfig, type Model, openmoe, OPENMOE_DEFAULTS } from './vocabulary.ts';

export interface JaxConfig {
  readonly vocab: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly head_dim: number;
  readonly experts: number;
  readonly group_size: number;
  readonly interval?: number;
  readonly sparse_layers?: number;
  readonly top_k?: number;
  readonly capacity_factor_train?: number;
  readonly capacity_factor_eval?: number;
  readonly min_capacity?: number;
  readonly z_loss?: number;
  readonly auxiliary_loss_factor?: number;
  readonly router_z_loss_factor?: number;
}

/** What the gin file binds where a config says nothing (reference 3.1). */
export const T5X_LOSSES: LossConfig = { z: 1e-4, balance: 0.01, routerZ: 1e-4 };

export const jaxModel = (c: JaxConfig, more: Partial<Model['config']> = {}): Model =>
  openmoe({
    ...OPENMOE_DEFAULTS,
    vocab: c.vocab,
    hidden: c.hidden,
    inner: c.ffn,
    layers: c.layers,
    heads: c.heads,
    headSize: c.head_dim,
    experts: c.experts,
    moeInterval: c.interval ?? c.layers / (c.sparse_layers ?? 1),
    topK: c.top_k ?? OPENMOE_DEFAULTS.topK,
    groupSize: c.group_size,
    capacityFactorTrain: c.capacity_factor_train ?? OPENMOE_DEFAULTS.capacityFactorTrain,
    capacityFactorEval: c.capacity_factor_eval ?? OPENMOE_DEFAULTS.capacityFactorEval,
    minCapacity: c.min_capacity ?? OPENMOE_DEFAULTS.minCapacity,
    referenceGroups: true,
    ...more,
  });

export interface JaxModel {
  readonly model: Model;
  readonly losses: LossConfig;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** A model folder with the weights under Hugging Face names. Throws UserErrors (exit 4). */
export async function openJaxModel(folder: FixtureFolder, name: string, more: Partial<Model['config']> = {}): Promise<JaxModel> {
  const config = await readJson<JaxConfig>(folder, `${name}/config.json`);
  const model = jaxModel(config, more);
  return {
    model,
    losses: {
      z: config.z_loss ?? T5X_LOSSES.z,
      balance: config.auxiliary_loss_factor ?? T5X_LOSSES.balance,
      routerZ: config.router_z_loss_factor ?? T5X_LOSSES.routerZ,
    },
    weights: await weightsAt(folder, `${name}/weights_hf.safetensors`, model),
  };
}

/** The same weights under T5X names, which hold matrices as [in,out] like ours. */
export const t5xWeights = (folder: FixtureFolder, name: string, model: Model): Promise<Map<string, Float32Array>> =>
  weightsAt(folder, `${name}/weights_t5x.safetensors`, model);

async function weightsAt(folder: FixtureFolder, path: string, model: Model): Promise<Map<string, Float32Array>> {
  if (!folder.files.includes(path)) throw new UserError('E_FIXTURE', EXIT.damaged, { message: 'the file is missing', place: path });
  const checkpoint = await folder.open(path);
  try {
    const weights = new Map<string, Float32Array>();
    for (const p of model.list) weights.set(p.path, await checkpoint.read(p.path));
    return weights;
  } finally {
    await checkpoint.close();
  }
}

export interface Batch {
  readonly shape: readonly [number, number];
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
  readonly segments: Int32Array;
  readonly weights: Float32Array;
}

/** The decoder features of a batch, or of one of several. The reference masks where the target is padding. */
export function jaxBatch(tensors: Tensors, step?: number): Batch {
  const feature = (name: string): Int32Array => {
    const all = tensors.i32(`decoder_${name}`);
    const count = step === undefined ? 1 : tensors.at(`decoder_${name}`).shape[0]!;
    const size = all.length / count;
    return all.slice((step ?? 0) * size, ((step ?? 0) + 1) * size);
  };
  const targets = feature('target_tokens');
  feature('positions');
  return {
    shape: tensors.at('decoder_input_tokens').shape.slice(-2) as unknown as [number, number],
    tokens: feature('input_tokens'),
    targets,
    segments: feature('segment_ids').map((s, i) => (targets[i]! > 0 ? s : 0)),
    weights: Float32Array.from(feature('loss_weights')),
  };
}

/** A parameter's name in T5X checkpoints (reference 9.2). */
export const t5xName = (path: string): string => placeOf({ path } as Parameters<typeof placeOf>[0], 't5x').names[0]!;
