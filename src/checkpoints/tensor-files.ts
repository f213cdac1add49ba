/** The tensors of a checkpoint, whatever its format: one file, or a folder with an index of shards. */
import { EXIT, headerLength, readHeader, suggest, UserError } from '../base/index.ts';
import { allowance, damaged, type Files, readRange, type StoredFile } from './storage.ts';
import { readTorchLegacy } from './torch-legacy.ts';
import { readTorchZip } from './torch-zip.ts';
import { denseStrides, ELEMENT_BYTES, type ElementType, sizeOf, spanOf, type View } from './view.ts';

export type Format = 'safetensors' | 'pickle' | 'legacy';

export interface FoundTensor {
  readonly name: string;
  readonly view: View;
  /** File name. */
  readonly shard: string;
}

export interface TensorFiles {
  readonly format: Format;
  /** File or folder, as messages name it. */
  readonly place: string;
  /** The folder that holds the files. */
  readonly folder: string;
  readonly shards: readonly string[];
  readonly tensors: ReadonlyMap<string, FoundTensor>;
}

/** Weights of a folder are looked for under these names, in this order. */
const WHOLE = ['model.safetensors.index.json', 'model.safetensors', 'pytorch_model.bin.index.json', 'pytorch_model.bin'] as const;
const LARGEST_INDEX = 1 << 24;
/** Of a safetensors header: some sixty thousand tensors. The format allows 100 MB, of which JSON would make a gigabyte. */
const LARGEST_HEADER = 1 << 23;

/**
 * Finds and checks all tensors; reads none of their elements. `ref` is a file or a folder. Throws UserErrors: E_CHECKPOINT_UNKNOWN (not found),
 * E_SAFETENSORS, E_ZIP, E_PICKLE, E_INDEX (damaged).
 */
export async function openTensors(ref: string, files: Files): Promise<TensorFiles> {
  const names = await files.list(ref);
  if (!names) return openFile(ref, files);
  const index = WHOLE.find((name) => names.includes(name)) ?? onlyWeights(ref, names);
  return index.endsWith('.index.json') ? openShards(ref, index, { names, files }) : openFile(`${ref}/${index}`, files);
}

function onlyWeights(folder: string, names: readonly string[]): string {
  const found = names.filter((name) => /\.(safetensors|bin)$/.test(name)).sort();
  if (found.length === 1) return found[0]!;
  throw new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, {
    message: found.length ? `the folder holds ${found.length} files of tensors and no index` : 'the folder holds no weights',
    place: folder,
    hint: found.length ? `name one of them: ${found.slice(0, 8).join(', ')}` : `weights are ${WHOLE.join(', ')}`,
  });
}

async function openFile(path: string, files: Files): Promise<TensorFiles> {
  const file = await files.open(path);
  if (!file) throw new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, { message: 'there is no such file or folder', place: path });
  const { format, views } = await readTensorFile(file);
  const cut = path.lastIndexOf('/');
  const shard = path.slice(cut + 1);
  return {
    format,
    place: path,
    folder: cut < 0 ? '.' : path.slice(0, cut) || '/',
    shards: [shard],
    tensors: new Map([...views].map(([name, view]) => [name, { name, view, shard }])),
  };
}

/** The format is told from the first bytes, never from the name. */
async function readTensorFile(file: StoredFile): Promise<{ format: Format; views: Map<string, View> }> {
  const first = await readRange(file, 0, Math.min(4, file.size));
  const zip = first[0] === 0x50 && first[1] === 0x4b;
  const pickle = first[0] === 0x80 && first[1]! >= 2 && first[1]! <= 5 && !file.place.endsWith('.safetensors');
  const format = zip ? 'pickle' : pickle ? 'legacy' : 'safetensors';
  if (format === 'safetensors' && /\.(bin|pt|pth)$/.test(file.place))
    throw damaged('E_PICKLE', file.place, 'neither a zip archive nor a pickle: not a checkpoint of PyTorch');
  const views = await { safetensors: readSafetensors, pickle: readTorchZip, legacy: readTorchLegacy }[format](file);
  refuseMultiplied(file, views);
  return { format, views };
}

async function readSafetensors(file: StoredFile): Promise<Map<string, View>> {
  const length = headerLength(await readRange(file, 0, Math.min(8, file.size)), file.size, file.place);
  if (length > LARGEST_HEADER) throw damaged('E_SAFETENSORS', file.place, `a header of ${length} bytes`);
  const { tensors } = readHeader(await readRange(file, 0, 8 + length), file.size, file.place);
  return new Map(
    [...tensors.values()].map(({ name, dtype, shape, begin }) => {
      if (!Object.hasOwn(ELEMENT_BYTES, dtype))
        throw damaged('E_SAFETENSORS', file.place, `tensor ${name} is ${dtype}, which cannot be read here`);
      return [name, { file, dtype: dtype as ElementType, begin, shape, strides: denseStrides(shape) }];
    }),
  );
}

/** Views may show elements many times: together they must not become much more than the file. */
function refuseMultiplied(file: StoredFile, views: ReadonlyMap<string, View>): void {
  let all = 0;
  for (const [name, view] of views) {
    const elements = sizeOf(view.shape);
    all += elements * ELEMENT_BYTES[view.dtype];
    if (elements > spanOf(view) && elements * 4 > allowance(file.size))
      throw damaged('E_PICKLE', file.place, `tensor ${name} repeats its storage to ${elements} elements`);
  }
  if (all > 4 * allowance(file.size)) throw damaged('E_PICKLE', file.place, `its tensors have ${all} bytes, the file ${file.size}`);
}

async function openShards(
  folder: string,
  index: string,
  { names, files }: { names: readonly string[]; files: Files },
): Promise<TensorFiles> {
  const place = `${folder}/${index}`;
  const map = await weightMap(place, files);
  const shards = [...new Set(map.values())].sort();
  const lost = shards.filter((shard) => !names.includes(shard));
  if (lost.length > 0)
    throw new UserError(
      'E_INDEX',
      EXIT.damaged,
      lost.map((shard) => ({ message: `the shard ${shard} is not there`, place, hint: suggest(shard, names.slice(0, 200)) })),
    );
  const opened = await Promise.all(shards.map((shard) => openFile(`${folder}/${shard}`, files)));
  const format = opened[0]?.format ?? 'safetensors';
  const tensors = new Map(
    opened.flatMap((file) => [...file.tensors.values()].filter((t) => map.get(t.name) === t.shard).map((t) => [t.name, t] as const)),
  );
  const problems = [
    ...[...map]
      .filter(([name]) => !tensors.has(name))
      .map(([name, shard]) => ({ message: `${name} is not in ${shard}, where the index has it`, place })),
    ...opened.flatMap((file) =>
      [...file.tensors.values()]
        .filter((t) => map.get(t.name) !== t.shard)
        .map((t) => ({ message: `${t.name} of ${t.shard} is not in the index`, place })),
    ),
  ];
  if (problems.length > 0) throw new UserError('E_INDEX', EXIT.damaged, problems);
  return { format, place: folder, folder, shards, tensors };
}

/** File name by tensor name. A shard is a plain file name inside the folder. */
async function weightMap(place: string, files: Files): Promise<Map<string, string>> {
  const json = await readJson(place, files, { largest: LARGEST_INDEX, code: 'E_INDEX' });
  const map = json?.['weight_map'];
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw damaged('E_INDEX', place, 'weight_map is not an object of file names');
  return new Map(
    Object.entries(map).map(([name, shard]: [string, unknown]) => {
      if (typeof shard !== 'string' || !/^[^/\\\0]+$/.test(shard) || /^\.+$/.test(shard))
        throw damaged(
          'E_INDEX',
          place,
          `${name.slice(0, 100)} stands in ${JSON.stringify(shard)?.slice(0, 100)}: a shard is a plain file name in this folder`,
        );
      return [name, shard];
    }),
  );
}

/** A JSON object in a file; undefined where there is no such file. Throws UserError `code` (damaged). */
export async function readJson(
  place: string,
  files: Files,
  { largest, code }: { readonly largest: number; readonly code: string },
): Promise<Record<string, unknown> | undefined> {
  const file = await files.open(place);
  if (!file) return undefined;
  if (file.size > largest) throw damaged(code, place, `a JSON file of ${file.size} bytes`);
  const bytes = await readRange(file, 0, file.size);
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through: not JSON, or not an object.
  }
  throw damaged(code, place, 'not a JSON object');
}
