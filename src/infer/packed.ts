/** A model's matrices packed for inference: merged where they are read together, 16, 8 or 4 bits a weight.   H hidden, D = heads · head size, F inner, V vocabulary. */
import {
  type Buffer,
  type Buffers,
  cast,
  concat,
  type Executor,
  type Loaded,
  type Model,
  packWeights,
  type PackedBits,
  type Program,
  reshape,
  shapeOfPacked,
  type Shape,
  trace,
  transpose,
} from './vocabulary.ts';

/** Weights by path: packed matrices, and the rest (embedding, norms, routers) in f32. */
export interface PackedModel {
  readonly bits: PackedBits;
  readonly buffers: Buffers;
}

/** Weights by path as a file has them. */
export interface StoredModel {
  /** Paths of matrices that lie as [out,in]. */
  readonly transposed: ReadonlySet<string>;
  readonly buffers: Buffers;
}

/** What inference may read weights from: bare buffers are f32, in our orientation. */
export type Weights = Buffers | StoredModel | PackedModel;
export const isPacked = (weights: Weights): weights is PackedModel => typeof (weights as Record<string, unknown>)['bits'] === 'number';
const isStored = (weights: Weights): weights is StoredModel => (weights as Record<string, unknown>)['transposed'] instanceof Set;
export const buffersOf = (weights: Weights): Buffers => (isPacked(weights) || isStored(weights) ? weights.buffers : weights);
export const transposedOf = (weights: Weights): ReadonlySet<string> => (isStored(weights) ? weights.transposed : new Set());

/** One packed matrix, or one for each expert, and the parameters whose columns it joins. */
export interface PackedMatrix {
  readonly path: string;
  readonly from: readonly string[];
  /** [E,K,N]. */
  readonly matrices: Shape;
  readonly sections: number;
}

const MERGED: readonly (readonly [RegExp, (at: string) => PackedMatrix['from'], string, number])[] = [
  [/^(.*\.attention\.)query$/, (at) => [`${at}query`, `${at}key`, `${at}value`], 'qkv', 1],
  [/^(.*\.(?:mlp|extra|experts)\.)gate$/, (at) => [`${at}gate`, `${at}up`], 'expand', 3],
  [/^(.*\.(?:mlp|extra|experts)\.)down$/, (at) => [`${at}down`], 'down', 1],
  [/^(.*\.attention\.)out$/, (at) => [`${at}out`], 'out', 1],
  [/^()head$/, () => ['head'], 'head', 1],
];

/** Every packed matrix of a model, in the order in which a token meets them. */
export function packedMatrices(model: Model): PackedMatrix[] {
  const shapes = new Map(model.list.map((p) => [p.path, p.shape]));
  return model.list.flatMap(({ path }) => {
    const rule = MERGED.find(([pattern]) => pattern.test(path));
    if (!rule) return [];
    const [pattern, sources, name, sections] = rule;
    const at = pattern.exec(path)![1]!;
    const from = sources(at);
    const [first] = from.map((p) => shapes.get(p)!);
    const cols = from.reduce((n, p) => n + shapes.get(p)!.at(-1)!, 0);
    return [{ path: at + name, from, matrices: [first!.length === 3 ? first![0]! : 1, first!.at(-2)!, cols], sections }];
  });
}

/** Paths of the parameters that stay as they are. */
export function plainPaths(model: Model): string[] {
  const packed = new Set(packedMatrices(model).flatMap((m) => m.from));
  return model.list.map((p) => p.path).filter((path) => !packed.has(path));
}

/** Packs the weights that `source` gives by path, those in `transposed` as [out,in]; each may be let go once its matrix is packed. */
export async function packModel(
  model: Model,
  executor: Executor,
  source: (path: string) => Buffer | Promise<Buffer>,
  bits: PackedBits,
  transposed: ReadonlySet<string> = new Set(),
): Promise<PackedModel> {
  const buffers: Record<string, Buffer> = {};
  // Layers are alike: one program serves the matrices of all.
  const programs = new Map<string, Loaded>();
  for (const path of plainPaths(model)) buffers[path] = await source(path);
  for (const matrix of packedMatrices(model)) {
    const inputs: Record<string, Buffer> = {};
    for (const path of matrix.from) inputs[path] = await source(path);
    const packed = executor.zeros({ dtype: 'i8', shape: shapeOfPacked({ ...matrix, bits }) });
    const turned = matrix.from.map((path) => transposed.has(path));
    const kind = JSON.stringify([matrix.matrices, matrix.sections, turned, ...Object.values(inputs).map((b) => b.dtype)]);
    if (!programs.has(kind)) programs.set(kind, await executor.load(packing(matrix, inputs, { bits, turned })));
    await programs.get(kind)!.run({ ...Object.fromEntries(Object.values(inputs).map((b, i) => [`part ${i}`, b])), packed });
    buffers[matrix.path] = packed;
  }
  programs.forEach((program) => program.close());
  return { bits, buffers };
}

interface Parts {
  readonly bits: PackedBits;
  /** Which of them are [out,in]. */
  readonly turned: readonly boolean[];
}
function packing(matrix: PackedMatrix, inputs: Buffers, { bits, turned }: Parts): Program {
  const parts = Object.values(inputs).map(({ shape, dtype }, i) => [`part ${i}`, { shape, dtype }] as const);
  const target = { packed: { dtype: 'i8', shape: shapeOfPacked({ ...matrix, bits }), role: 'state' } } as const;
  return trace(`pack ${matrix.path}`, { ...Object.fromEntries(parts), ...target }, (args) => {
    const all = turned.every(Boolean);
    const given = parts.map(([name], i) => {
      const part = parts.length === 1 ? args[name]! : cast(args[name]!, 'f32');
      return turned[i] && !all ? transpose(part, [1, 0]) : part;
    });
    const joined = given.length === 1 ? given[0]! : concat(given, all ? 0 : given[0]!.shape.length - 1);
    const [experts, depth, cols] = matrix.matrices as readonly [number, number, number];
    const whole = reshape(joined, all ? [experts, cols, depth] : [experts, depth, cols]);
    const packed = packWeights(whole, { bits, sections: matrix.sections, turned: all });
    return { results: { packed }, updates: { packed: 'packed' } };
  });
}
