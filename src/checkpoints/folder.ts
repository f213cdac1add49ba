/** Hugging Face style folders: weights under their published names and orientation, config.json, generation_config.json. */
import { EXIT, UserError } from '../base/index.ts';
import type { Model } from '../models/index.ts';
import { configFile, GENERATION, generationConfig } from './config-file.ts';
import { CONFIG, modelOf, readConfig } from './config.ts';
import { readTensors, tensorFile } from './tensors.ts';

export interface FolderFile {
  readonly name: string;
  readonly chunks: Iterable<Uint8Array> | Uint8Array;
}

const WEIGHTS = 'model.safetensors';

export const jsonFile = (name: string, value: unknown): FolderFile => ({
  name,
  chunks: new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`),
});

/** The files of a model whose parameters `read` gives by path, in our orientation. */
export function modelFiles(model: Model, read: (path: string) => Float32Array): FolderFile[] {
  const byName = new Map(model.list.map((p) => [p.foreign.name, p]));
  const foreign = (name: string): Float32Array => {
    const p = byName.get(name)!;
    return p.foreign.transposed ? transposed(read(p.path), p.shape[0]!, p.shape[1]!) : read(p.path);
  };
  return [
    { name: CONFIG, chunks: configFile(model, { names: 'hf', dtype: 'f32', like: {} }) },
    { name: GENERATION, chunks: generationConfig(model) },
    {
      name: WEIGHTS,
      chunks: tensorFile(
        model.list.map((p) => ({ name: p.foreign.name, shape: foreignShape(p) })),
        foreign,
      ),
    },
  ];
}

/** What a folder or checkpoint must offer: the bytes of a file by name. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

/** Values by parameter path. Throws UserError E_WEIGHTS (exit 4). */
export async function readWeights(model: Model, readFile: ReadFile, place: string): Promise<Map<string, Float32Array>> {
  const expected = model.list.map((p) => ({ name: p.foreign.name, shape: foreignShape(p) }));
  const tensors = readTensors(await readFile(WEIGHTS), expected, `${place}/${WEIGHTS}`);
  return new Map(
    model.list.map((p) => {
      const values = tensors.get(p.foreign.name)!;
      return [p.path, p.foreign.transposed ? transposed(values, p.shape[1]!, p.shape[0]!) : values];
    }),
  );
}

/** Where a parameter stands in a folder's weights: foreign shape and orientation, as it is in the file. */
export interface Located {
  readonly begin: number;
  readonly dtype: 'f32' | 'bf16';
  readonly shape: readonly number[];
  /** Stored [out,in] where we hold [in,out]. */
  readonly transposed: boolean;
}

const foreignShape = ({ shape, foreign }: Model['list'][number]): readonly number[] => (foreign.transposed ? shape.toReversed() : shape);

/** [rows, cols] → [cols, rows], in tiles that stay in cache. */
function transposed(x: Float32Array, rows: number, cols: number): Float32Array {
  const y = new Float32Array(x.length);
  const TILE = 32;
  for (let r0 = 0; r0 < rows; r0 += TILE)
    for (let c0 = 0; c0 < cols; c0 += TILE)
      for (let r = r0; r < Math.min(rows, r0 + TILE); r++)
        for (let c = c0; c < Math.min(cols, c0 + TILE); c++) y[c * rows + r] = x[r * cols + c]!;
  return y;
}

/** The model that a folder's config.json describes. Throws UserErrors E_ARCHITECTURE, E_MODEL_CONFIG (exit 4) naming every key at fault. */
export async function readModel(readFile: ReadFile, place: string): Promise<Model> {
  const at = `${place}/${CONFIG}`;
  return modelOf(readConfig(parse(await readFile(CONFIG), at), at));
}

function parse(bytes: Uint8Array, place: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through: not JSON, or not an object.
  }
  throw new UserError('E_MODEL_CONFIG', EXIT.damaged, { message: 'not a JSON object', place });
}
