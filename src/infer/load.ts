/** Weights of a file brought into the form that products read: mapped where they lie so already, else made from the mapping. */
import { packModel, type Weights } from './packed.ts';
import {
  type Buffer,
  type BufferSpec,
  cast,
  type MachineExecutor,
  type Loaded,
  type Model,
  type PackedBits,
  type Program,
  trace,
  transpose,
} from './vocabulary.ts';

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
export async function loadWeights(model: Model, executor: MachineExecutor, from: WeightFile, type: WeightType): Promise<Weights> {
  const bits = WEIGHT_BITS[type];
  const source = openSource(executor, from);
  try {
    if (bits !== 32) return await packModel(model, executor, (path) => source.read(path), bits);
    const loaded: [string, Buffer][] = [];
    for (const { path } of model.list) loaded.push([path, await source.read(path)]);
    return Object.fromEntries(loaded);
  } finally {
    source.close();
  }
}

interface Source {
  /** f32 in our orientation [in,out]: the mapping itself where the file has that. */
  read(path: string): Promise<Buffer>;
  close(): void;
}

function openSource(executor: MachineExecutor, { file, weights }: WeightFile): Source {
  const programs = new Map<string, Promise<Loaded>>();
  return {
    async read(path) {
      const { begin, dtype, shape, transposed } = weights.get(path)!;
      const x = executor.map(file, begin, { dtype, shape });
      if (dtype === 'f32' && !transposed) return x;
      const y = executor.zeros({ dtype: 'f32', shape: transposed ? shape.toReversed() : shape });
      const kind = `${dtype} ${shape} ${transposed}`;
      if (!programs.has(kind)) programs.set(kind, executor.load(orienting(x, y, transposed)));
      await (await programs.get(kind)!).run({ x, y });
      return y;
    },
    close: () => programs.forEach((program) => void program.then((p) => p.close())),
  };
}

function orienting(x: BufferSpec, y: BufferSpec, transposed: boolean): Program {
  const specs = { x: { dtype: x.dtype, shape: x.shape }, y: { shape: y.shape, role: 'state' as const } };
  return trace('bring weights into form', specs, (args) => {
    const wide = cast(args['x']!, 'f32');
    return { results: { y: transposed ? transpose(wide, [1, 0]) : wide }, updates: { y: 'y' } };
  });
}
