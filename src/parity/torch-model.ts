/** The models that the PyTorch reference ran: checkpoints of every format, computed with as one routing group. */
import type { Checkpoint } from '../checkpoints/index.ts';
import type { FixtureFolder } from './reading.ts';
import { batchSpecs, evaluate, parameterSpecs, type Results } from './running.ts';
import { type Executor, matmul, type Mode, type Model, FAMILIES, type Family, reshape, trace } from './vocabulary.ts';

export interface TorchModel {
  readonly model: Model;
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly dtypes: ReadonlySet<string>;
}

/** The model as [T] computes it: one routing group, capacity with the factor k. */
export const asTorch = (model: Model): Model => FAMILIES[model.family as Family]({ ...model.config, dialect: 'torch' });

export async function openTorchModel(folder: FixtureFolder, name: string): Promise<TorchModel> {
  const checkpoint = await folder.open(name);
  try {
    const model = asTorch(checkpoint.model);
    return { model, weights: await weightsOf(checkpoint), dtypes: new Set([...checkpoint.tensors.values()].map((t) => t.dtype)) };
  } finally {
    await checkpoint.close();
  }
}

async function weightsOf(checkpoint: Checkpoint): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const { path } of checkpoint.model.list) weights.set(path, await checkpoint.read(path));
  return weights;
}

export interface TorchPass {
  readonly shape: readonly [number, number];
  readonly ids: Int32Array;
  readonly mode: Mode;
}

/** Logits [N,V], hidden [N,H] after the final norm, router and residual taps of one pass with an all-ones mask. */
export async function torchForward(
  { model, weights }: Pick<TorchModel, 'model' | 'weights'>,
  { shape, ids, mode }: TorchPass,
  executor: Executor,
): Promise<Results> {
  const { tokens, segments } = batchSpecs(shape);
  const program = trace(
    `forward ${mode}`,
    { ...parameterSpecs(model), tokens: tokens!, segments: segments! },
    (a) => {
      const input = { tokens: reshape(a['tokens']!, [shape[0] * shape[1]]), segments: a['segments']!, mode, padded: false };
      const { hidden } = model.apply((path) => a[path]!, input);
      return { results: { hidden, logits: matmul(hidden, a['head']!) } };
    },
    (tap) => /\.(router|residual)\./.test(tap),
  );
  return evaluate(executor, program, { ...Object.fromEntries(weights), tokens: ids, segments: new Int32Array(ids.length).fill(1) });
}
