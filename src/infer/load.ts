/** Weights of a file brought into the form that products read: mapped where they lie so already, else made from the mapping. */
import { packedMatrices, packModel, type Weights } from './packed.ts';
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

/** Weights of a checkpoint, by path (what checkpoints' `openCheckpoint` gives). */
export interface WeightSource {
  /** Where a parameter lies in one piece and can be mapped. */
  locate(path: string): Mappable | undefined;
  /** Its values in our orientation, wherever they lie. */
  read(path: string): Promise<Float32Array>;
}
interface Mappable {
  readonly file: string;
  readonly begin: number;
  readonly dtype: 'f32' | 'bf16';
  readonly shape: readonly number[];
  /** Stored [out,in] where we hold [in,out]. */
  readonly transposed: boolean;
}

/** What weights are multiplied as: bits each. */
export const WEIGHT_BITS = { f32: 32, bf16: 16, int8: 8, int4: 4 } as const satisfies Record<string, PackedBits | 32>;
export type WeightType = keyof typeof WEIGHT_BITS;

/**
 * Matrices stay as the file has them, [out,in] or [in,out], wherever a product or the packing can read them so.
 * Files must stay as they are while the weights are used. Throws UserError E_MAP (exit 4), E_MEMORY (exit 5).
 */
export async function loadWeights(model: Model, executor: MachineExecutor, from: WeightSource, type: WeightType): Promise<Weights> {
  const bits = WEIGHT_BITS[type];
  const source = openSource(model, executor, from, bits < 32);
  try {
    if (bits !== 32) return await packModel(model, executor, (path) => source.read(path), bits, source.transposed);
    const loaded: [string, Buffer][] = [];
    for (const { path } of model.list) loaded.push([path, await source.read(path)]);
    return { buffers: Object.fromEntries(loaded), transposed: source.transposed };
  } finally {
    source.close();
  }
}

interface Source {
  /** Matrices that are read as [out,in]. */
  readonly transposed: ReadonlySet<string>;
  /** The mapping itself where the file has what is wanted, else f32 in our orientation. */
  read(path: string): Promise<Buffer>;
  close(): void;
}

function openSource(model: Model, executor: MachineExecutor, from: WeightSource, packed: boolean): Source {
  const programs = new Map<string, Promise<Loaded>>();
  const shapes = new Map(model.list.map((p) => [p.path, p.shape]));
  const matrices = new Set(packedMatrices(model).flatMap((m) => m.from));
  const transposed = new Set([...matrices].filter((path) => shapes.get(path)!.length === 2 && from.locate(path)?.transposed));
  const readsBf16 = (path: string): boolean => packed && matrices.has(path);
  return {
    transposed,
    async read(path) {
      const located = from.locate(path);
      if (!located) return executor.put(await from.read(path), { dtype: 'f32', shape: shapes.get(path)! });
      const { file, begin, dtype, shape } = located;
      const turn = located.transposed && !transposed.has(path);
      const x = executor.map(file, begin, { dtype, shape });
      if (!turn && (dtype === 'f32' || readsBf16(path))) return x;
      const y = executor.zeros({ dtype: 'f32', shape: turn ? shape.toReversed() : shape });
      const kind = `${dtype} ${shape} ${turn}`;
      if (!programs.has(kind)) programs.set(kind, executor.load(orienting(x, y, turn)));
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
