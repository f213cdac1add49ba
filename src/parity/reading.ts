/** Fixtures as they lie in a folder: tensors and JSON, with a note of what was looked at. */
import type { Checkpoint, TensorFiles } from '../checkpoints/index.ts';
import { EXIT, f32FromBf16, f32FromF16, readHeader, type SafeDType, UserError } from '../base/index.ts';

/** A folder of fixtures; paths are relative, with `/`. */
export interface FixtureFolder {
  /** How messages name it. */
  readonly place: string;
  readonly files: readonly string[];
  read(path: string): Promise<Uint8Array>;
  /** A folder or file of weights as a model; its owner closes it. */
  open(path: string): Promise<Checkpoint>;
  /** The same without a config: tensors alone. `use` is done before the files are closed. */
  withTensors<T>(path: string, use: (found: TensorFiles) => Promise<T>): Promise<T>;
}

export type Values = Float32Array | Float64Array | Int32Array;

export interface Stored {
  readonly shape: readonly number[];
  readonly data: Values;
}

/** Tensors of one file; those that nobody asked for can be named. */
export interface Tensors {
  readonly names: readonly string[];
  has(name: string): boolean;
  /** Throws UserError E_FIXTURE (exit 4) when there is none. */
  at(name: string): Stored;
  f32(name: string): Float32Array;
  i32(name: string): Int32Array;
  unread(): string[];
}

const broken = (message: string, place: string): UserError => new UserError('E_FIXTURE', EXIT.damaged, { message, place });

/** Throws UserErrors E_SAFETENSORS and E_FIXTURE (exit 4). */
export async function readTensors(folder: FixtureFolder, path: string): Promise<Tensors> {
  const bytes = await read(folder, path);
  const { tensors } = readHeader(bytes, bytes.length, path);
  const seen = new Set<string>();
  const at = (name: string): Stored => {
    const t = tensors.get(name);
    if (!t) throw broken(`there is no tensor ${name}`, path);
    seen.add(name);
    return { shape: t.shape, data: decoded(bytes.slice(t.begin, t.end).buffer, t.dtype, `${path}: ${name}`) };
  };
  return {
    names: [...tensors.keys()],
    has: (name) => tensors.has(name),
    at,
    f32: (name) => Float32Array.from(at(name).data),
    i32: (name) => Int32Array.from(at(name).data),
    unread: () => [...tensors.keys()].filter((name) => !seen.has(name)),
  };
}

function decoded(buffer: ArrayBufferLike, dtype: SafeDType, place: string): Values {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float64Array(buffer);
    case 'F16':
      return f32FromF16(new Uint16Array(buffer));
    case 'BF16':
      return f32FromBf16(new Uint16Array(buffer));
    case 'I32':
      return new Int32Array(buffer);
    case 'I64':
      return Int32Array.from(new BigInt64Array(buffer), Number);
    case 'U8':
    case 'BOOL':
      return Int32Array.from(new Uint8Array(buffer));
    default:
      throw broken(`no fixture holds ${dtype}`, place);
  }
}

/** `T` says what the reader takes from it; what is missing shows when it is used. Throws UserError E_FIXTURE (exit 4). */
export async function readJson<T>(folder: FixtureFolder, path: string): Promise<T> {
  const bytes = await read(folder, path);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as T;
  } catch (error) {
    throw broken(`not JSON: ${(error as Error).message.slice(0, 120)}`, path);
  }
}

async function read(folder: FixtureFolder, path: string): Promise<Uint8Array> {
  if (!folder.files.includes(path)) throw broken('the file is missing', path);
  return folder.read(path);
}

/** Files directly in a folder inside (`''` is the whole folder), without their path. */
export const filesIn = (folder: FixtureFolder, inside: string): string[] =>
  folder.files.flatMap((path) => {
    const lead = inside === '' ? '' : `${inside}/`;
    const rest = path.startsWith(lead) ? path.slice(lead.length) : '';
    return rest !== '' && !rest.includes('/') ? [rest] : [];
  });

/** Names of the folders directly inside. */
export const foldersIn = (folder: FixtureFolder): string[] => [
  ...new Set(folder.files.flatMap((path) => (path.includes('/') ? [path.slice(0, path.indexOf('/'))] : []))),
];
