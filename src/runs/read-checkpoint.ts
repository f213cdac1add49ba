/** Reading checkpoints: which there are, whether they are sound, and their files, checked against the manifest. */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, invariant, UserError } from '../base/index.ts';
import { isMissing } from './disk.ts';
import { type FileRecord, type Manifest, MANIFEST, parseManifest } from './manifest.ts';

/** step-000641: six digits sort as text up to a million steps, and more are allowed. */
export const checkpointFolder = (step: number): string => `step-${String(step).padStart(6, '0')}`;

/** Steps of all checkpoint folders in here, ascending; a missing folder has none. */
export async function foldersOf(folder: string): Promise<readonly number[]> {
  const names = await namesIn(folder);
  const steps = names.map((name) => Number(/^step-(\d{6,15})$/.exec(name)?.[1] ?? NaN));
  return steps.filter((step, i) => checkpointFolder(step) === names[i]).sort((a, b) => a - b);
}

/** Steps of those that have a manifest: a checkpoint without one does not count. */
export async function checkpointSteps(folder: string): Promise<readonly number[]> {
  const steps = await foldersOf(folder);
  const sizes = await Promise.all(steps.map((step) => sizeOf(join(folder, checkpointFolder(step), MANIFEST))));
  return steps.filter((_, i) => sizes[i] !== undefined);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const file = await stat(path);
    return file.isFile() ? file.size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export interface Damage {
  readonly file: string;
  /** What is wrong with it, as the rest of a sentence that begins with its name. */
  readonly reason: string;
}

/** What is missing in a checkpoint folder or of another size; reads none of its files but the manifest. */
export async function missing(folder: string, step: number): Promise<readonly Damage[]> {
  const manifest = await manifestOf(folder, step);
  if ('reason' in manifest) return [manifest];
  const sizes = await Promise.all(manifest.files.map((f) => sizeOf(join(folder, f.name))));
  return manifest.files.flatMap(({ name, size }, i) => (sizes[i] === size ? [] : [{ file: name, reason: sizeProblem(sizes[i], size) }]));
}

/** Everything wrong with a checkpoint folder: reads all of it. Empty when sound. */
export async function verify(folder: string, step: number): Promise<readonly Damage[]> {
  const manifest = await manifestOf(folder, step);
  if ('reason' in manifest) return [manifest];
  const damages: Damage[] = [];
  for (const record of manifest.files) {
    const reason = await damageOf(folder, record);
    if (reason !== undefined) damages.push({ file: record.name, reason });
  }
  return damages;
}

async function manifestOf(folder: string, step: number): Promise<Manifest | Damage> {
  try {
    const manifest = parseManifest(await readFile(join(folder, MANIFEST), 'utf8'), step);
    return typeof manifest === 'string' ? { file: MANIFEST, reason: manifest } : manifest;
  } catch (error) {
    return { file: MANIFEST, reason: reasonOf(error) };
  }
}

const reasonOf = (error: unknown): string =>
  isMissing(error) ? 'is missing' : `cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`;

const CHUNK = 1 << 22;

/** Passes the file's bytes to `see` piece by piece, valid until the next; returns what is wrong with the file, if anything. */
async function damageOf(
  folder: string,
  { name, size, sha256 }: FileRecord,
  see: (piece: Uint8Array, at: number) => void = () => {},
): Promise<string | undefined> {
  const path = join(folder, name);
  try {
    const actual = await sizeOf(path);
    if (actual !== size) return sizeProblem(actual, size);
    const handle = await open(path);
    try {
      const hash = createHash('sha256');
      const buffer = new Uint8Array(Math.min(CHUNK, size));
      for (let at = 0; at < size;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - at), at);
        if (bytesRead === 0) return sizeProblem(at, size);
        const piece = buffer.subarray(0, bytesRead);
        hash.update(piece);
        see(piece, at);
        at += bytesRead;
      }
      return hash.digest('hex') === sha256 ? undefined : 'has other content than was written (SHA-256 differs)';
    } finally {
      await handle.close();
    }
  } catch (error) {
    return reasonOf(error);
  }
}

const sizeProblem = (actual: number | undefined, size: number): string =>
  actual === undefined ? 'is missing' : `is ${actual < size ? 'truncated' : 'too long'}: ${actual} bytes of ${size}`;

/** A checkpoint opened for reading. */
export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
  readonly files: readonly FileRecord[];
  /** The whole file, its hash checked. Throws E_CHECKPOINT_DAMAGED (damaged) naming the file and what is wrong. */
  read(name: string): Promise<Uint8Array>;
  /** Where a file stands, its size checked, its hash not. Throws E_CHECKPOINT_DAMAGED (damaged). */
  locate(name: string): Promise<string>;
  /** Bytes [begin, end) of a file; its size is checked, its hash not. Throws E_CHECKPOINT_DAMAGED (damaged). */
  readRange(name: string, begin: number, end: number): Promise<Uint8Array>;
}

const damaged = (folder: string, { file, reason }: Damage): UserError =>
  new UserError('E_CHECKPOINT_DAMAGED', EXIT.damaged, {
    message: `${file} ${reason}`,
    place: join(folder, file),
    hint: 'use an earlier checkpoint of the run, or resume to write this one again',
  });

/** Throws E_CHECKPOINT_DAMAGED (damaged) when the manifest is missing or wrong. */
export async function readCheckpoint(folder: string, step: number): Promise<Checkpoint> {
  const manifest = await manifestOf(folder, step);
  if ('reason' in manifest) throw damaged(folder, manifest);
  const recordOf = (name: string): FileRecord => {
    const record = manifest.files.find((f) => f.name === name);
    if (!record) throw damaged(folder, { file: name, reason: 'is not in the manifest' });
    return record;
  };
  return {
    step,
    folder,
    files: manifest.files,
    async read(name) {
      const record = recordOf(name);
      const actual = await sizeOf(join(folder, name));
      if (actual !== record.size) throw damaged(folder, { file: name, reason: sizeProblem(actual, record.size) }); // before so much is allocated
      const bytes = new Uint8Array(record.size);
      const reason = await damageOf(folder, record, (piece, at) => bytes.set(piece, at));
      if (reason !== undefined) throw damaged(folder, { file: name, reason });
      return bytes;
    },
    async locate(name) {
      const { size } = recordOf(name);
      const actual = await sizeOf(join(folder, name));
      if (actual !== size) throw damaged(folder, { file: name, reason: sizeProblem(actual, size) });
      return join(folder, name);
    },
    async readRange(name, begin, end) {
      const { size } = recordOf(name);
      invariant(0 <= begin && begin <= end && end <= size, `bytes ${begin}..${end} of ${name}, which has ${size}`);
      return readRange(folder, name, { begin, end, size });
    },
  };
}

async function readRange(
  folder: string,
  name: string,
  { begin, end, size }: Readonly<Record<'begin' | 'end' | 'size', number>>,
): Promise<Uint8Array> {
  const fail = (reason: string): UserError => damaged(folder, { file: name, reason });
  const handle = await open(join(folder, name)).catch((error: unknown) => {
    throw fail(reasonOf(error));
  });
  try {
    const actual = (await handle.stat()).size;
    if (actual !== size) throw fail(sizeProblem(actual, size));
    const bytes = new Uint8Array(end - begin);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(CHUNK, bytes.length - at), begin + at);
      if (bytesRead === 0) throw fail(sizeProblem(begin + at, size));
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}
