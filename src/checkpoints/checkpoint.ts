/** A checkpoint of any format, opened as a model with its weights: the one door for those who compute with it. */
import { EXIT, type Problem, suggest, UserError } from '../base/index.ts';
import type { Model } from '../models/index.ts';
import { CONFIG, modelOf, readConfig } from './config.ts';
import type { Located } from './folder.ts';
import { type NameScheme, partsOf, type PlacedTensor, placedTensors, placeOf, schemeOf } from './names.ts';
import { refuseContradiction } from './shapes.ts';
import { damaged, type Files } from './storage.ts';
import { fitScales, readStored, type Stored, scalesName } from './stored.ts';
import { type FoundTensor, type Format, openTensors, readJson, type TensorFiles } from './tensor-files.ts';
import { type ElementType, isDense, sizeOf } from './view.ts';

export interface TensorFacts {
  readonly dtype: ElementType;
  /** As stored. */
  readonly shape: readonly number[];
  /** File name. */
  readonly shard: string;
}

export interface Checkpoint {
  readonly model: Model;
  /** By name in the files; scales of bytes are not listed. */
  readonly tensors: ReadonlyMap<string, TensorFacts>;
  /** The same with their places, scales too. */
  readonly stored: ReadonlyMap<string, FoundTensor>;
  readonly format: Format;
  readonly names: NameScheme;
  /** File or folder, as messages name it, and the folder that holds config.json. */
  readonly place: string;
  readonly folder: string;
  readonly shards: readonly string[];
  /** config.json as it is. */
  readonly config: Readonly<Record<string, unknown>>;
  /** A parameter's values in our orientation, f32. */
  read(path: string): Promise<Float32Array>;
  /** The same where the caller wants it; `values` has a place for each element. */
  readInto(path: string, values: Float32Array): Promise<void>;
  /** Where a parameter can be mapped: the file and its place there. Undefined unless it lies in one piece, aligned, as f32 or bf16. */
  locate(path: string): (Located & { readonly file: string }) | undefined;
  /** The stored tensors of a parameter, each in our orientation: all of it, or a row of its first axis each. */
  parts(path: string): readonly Stored[];
  close(): Promise<void>;
}

const LARGEST_CONFIG = 1 << 24;
const FLOATS: readonly ElementType[] = ['F32', 'F16', 'BF16', 'F64'];

/**
 * Opens a folder with config.json and weights, or one file of weights with a config.json beside it; reads no weights yet.
 * Throws UserErrors: E_CHECKPOINT_UNKNOWN (3); E_ARCHITECTURE, E_MODEL_CONFIG, E_WEIGHTS (all tensors that are missing, unexpected or
 * of another shape or type), E_SAFETENSORS, E_ZIP, E_PICKLE, E_INDEX (4). `files` is closed with the checkpoint.
 */
export async function openCheckpoint(ref: string, files: Files): Promise<Checkpoint> {
  try {
    const found = await openTensors(ref, files);
    const place = `${found.folder}/${CONFIG}`;
    const config = await readJson(place, files, { largest: LARGEST_CONFIG, code: 'E_MODEL_CONFIG' });
    if (!config) throw damaged('E_MODEL_CONFIG', place, 'there is no config.json beside the weights');
    const read = readConfig(config, place);
    const scheme = schemeOf(found.tensors.keys());
    const stored = storedTensors(found);
    const shapes = new Map([...stored].map(([name, { view }]) => [name, view.shape]));
    refuseContradiction(read, { scheme, shapes, place });
    const model = modelOf(read);
    checkWeights(placedTensors(model, scheme), stored, found);
    return { ...reader({ model, scheme, stored, found }), config, close: () => files.close() };
  } catch (error) {
    await files.close();
    throw error;
  }
}

/** Tensors by name without T5X's `target/`, bytes joined with their scales. Throws UserError E_WEIGHTS. */
function storedTensors({ tensors, place }: TensorFiles): Map<string, Stored> {
  const plain = new Map([...tensors].map(([name, t]) => [name.replace(/^target\//, ''), t]));
  const problems: Problem[] = [];
  const stored = new Map<string, Stored>();
  for (const [name, { view }] of plain) {
    if (name.endsWith(scalesName('')) && plain.get(name.slice(0, -scalesName('').length))?.view.dtype === 'I8') continue;
    const scales = plain.get(scalesName(name))?.view;
    if (view.dtype !== 'I8') stored.set(name, { view });
    else if (!scales || !FLOATS.includes(scales.dtype) || !fitScales(view.shape, scales.shape))
      problems.push({ message: `${name} holds bytes, but no scales that fit stand in ${scalesName(name)}`, place });
    else stored.set(name, { view, scales });
  }
  if (problems.length > 0) throw new UserError('E_WEIGHTS', EXIT.damaged, problems);
  return stored;
}

const HINTED = 30;

function checkWeights(expected: readonly PlacedTensor[], stored: ReadonlyMap<string, Stored>, { place }: TensorFiles): void {
  const wanted = new Set(expected.map((t) => t.name));
  const unexpected = [...stored.keys()].filter((name) => !wanted.has(name));
  const missing = expected.filter((t) => !stored.has(t.name));
  // Comparing names takes time: what is wrong throughout is seen from the first few.
  const near = (name: string, i: number): Pick<Problem, 'hint'> =>
    unexpected.length > 0 && i < HINTED ? { hint: suggest(name, unexpected.slice(0, 500)) } : {};
  const problems: Problem[] = [
    ...missing.map(({ name }, i) => ({ message: `${name} is missing`, place, ...near(name, i) })),
    ...unexpected.map((name) => ({ message: `${name} does not belong to this model`, place })),
    ...expected.flatMap(({ name, shape }) => {
      const tensor = stored.get(name);
      const problem = tensor && mismatch(tensor, shape);
      return problem
        ? [{ message: `${name} is ${problem}`, place, hint: `expected ${FLOATS.join(', ')} or I8 with scales, [${shape}]` }]
        : [];
    }),
  ];
  if (problems.length > 0) throw new UserError('E_WEIGHTS', EXIT.damaged, problems);
}

const mismatch = ({ view, scales }: Stored, shape: readonly number[]): string | undefined =>
  view.shape.join() === shape.join() && (scales || FLOATS.includes(view.dtype)) ? undefined : `${view.dtype}[${view.shape}]`;

interface Opened {
  readonly model: Model;
  readonly scheme: NameScheme;
  readonly stored: ReadonlyMap<string, Stored>;
  readonly found: TensorFiles;
}

function reader({ model, scheme, stored, found }: Opened): Omit<Checkpoint, 'config' | 'close'> {
  const byPath = new Map(model.list.map((p) => [p.path, p]));
  const parts = (path: string): readonly Stored[] => partsOf(byPath.get(path)!, scheme, (name) => stored.get(name)!);
  const readInto = async (path: string, values: Float32Array): Promise<void> => {
    const list = parts(path);
    const each = values.length / list.length;
    for (const [i, part] of list.entries()) await readStored(part, values.subarray(i * each, (i + 1) * each));
  };
  const facts = ({ view, shard }: FoundTensor): TensorFacts => ({ dtype: view.dtype, shape: view.shape, shard });
  return {
    model,
    names: scheme,
    format: found.format,
    place: found.place,
    folder: found.folder,
    shards: found.shards,
    stored: found.tensors,
    tensors: new Map([...found.tensors].filter(([name]) => stored.has(name.replace(/^target\//, ''))).map(([name, t]) => [name, facts(t)])),
    parts,
    readInto,
    async read(path) {
      const values = new Float32Array(sizeOf(byPath.get(path)!.shape));
      await readInto(path, values);
      return values;
    },
    locate(path) {
      const { names, transposed } = placeOf(byPath.get(path)!, scheme);
      const { view, scales } = stored.get(names[0]!)!;
      const { dtype, begin, shape, file } = view;
      if (
        names.length > 1 ||
        scales ||
        !isDense(view) ||
        !file.path ||
        (dtype !== 'F32' && dtype !== 'BF16') ||
        begin % (dtype === 'F32' ? 4 : 2)
      )
        return undefined;
      return { begin, dtype: dtype === 'F32' ? 'f32' : 'bf16', shape, transposed, file: file.path };
    },
  };
}
