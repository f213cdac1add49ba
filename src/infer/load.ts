/** Weights of a file brought into the form that products read: mapped where they lie so already, else made from the mapping. */
import { type PackedModel, packModel, type Weights } from './packed.ts';
import { type Buffer, cast, type CpuExecutor, type Model, type PackedBits, trace, transpose } from './vocabulary.ts';

/** Where each parameter stands in a file, by path (checkpoints' `Located`). */
export interface WeightFile {
  readonly file: string;
  readonly weights: ReadonlyMap<
    string,
    { readonly begin: number; readonly dtype: 'f32' | 'bf16'; readonly shape: readonly number[]; readonly transposed: boolean }
  >;
}

/** What weights are multiplied as: bits each. */
export const WEIGHT_BITS = { f32: 32, bf16: 16, int8: 8, int4: 4 } as const satisfies Record<string, PackedBits | 32>;
export type WeightType = keyof typeof WEIGHT_BITS;

/** The file must stay as it is while the weights are used. Throws UserError E_MAP (exit 4), E_MEMORY (exit 5). */
export async function loadWeights(model: Model, executor: CpuExecutor, from: WeightFile, type: WeightType): Promise<Weights> {
  const bits = WEIGHT_BITS[type];
  if (bits !== 32) return packFile(model, executor, from, bits);
  const loaded: [string, Buffer][] = [];
  for (const { path } of model.list) loaded.push([path, await oriented(executor, from, path)]);
  return Object.fromEntries(loaded);
}

const packFile = (model: Model, executor: CpuExecutor, from: WeightFile, bits: PackedBits): Promise<PackedModel> =>
  packModel(model, executor, (path) => oriented(executor, from, path), bits);

/** f32 in our orientation [in,out]: the mapping itself where the file has that. */
async function oriented(executor: CpuExecutor, { file, weights }: WeightFile, path: string): Promise<Buffer> {
  const { begin, dtype, shape, transposed } = weights.get(path)!;
  const x = executor.map(file, begin, { dtype, shape });
  if (dtype === 'f32' && !transposed) return x;
  const target = executor.zeros({ dtype: 'f32', shape: transposed ? shape.toReversed() : shape });
  const program = trace(`bring ${path} into form`, { x: { dtype, shape }, y: { shape: target.shape, role: 'state' } }, (args) => {
    const wide = cast(args['x']!, 'f32');
    return { results: { y: transposed ? transpose(wide, [1, 0]) : wide }, updates: { y: 'y' } };
  });
  const loaded = await executor.load(program);
  await loaded.run({ x, y: target });
  loaded.close();
  return target;
}
