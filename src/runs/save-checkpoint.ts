/** Writing a checkpoint so that a crash at any moment leaves the earlier ones as they were and this one whole or absent. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invariant } from '../base/index.ts';
import { type Disk, explainDisk, isMissing, isTaken, writeNew } from './disk.ts';
import { type FileRecord, isFileName, MANIFEST, manifestText } from './manifest.ts';
import { checkpointFolder, verify } from './read-checkpoint.ts';

export interface CheckpointFile {
  /** A plain file name. */
  readonly name: string;
  /** The content; for identical runs to give identical files it must not depend on the clock. */
  readonly chunks: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/**
 * Streams the files into `folder`/step-…: temporary folder, fsync of each file and of the folder, manifest last, rename.
 * Throws E_DISK_FULL (does not fit) and leaves nothing behind.
 */
export async function saveCheckpoint(
  folder: string,
  step: number,
  { files, disk }: { readonly files: Iterable<CheckpointFile> | AsyncIterable<CheckpointFile>; readonly disk: Disk },
): Promise<void> {
  const name = checkpointFolder(step);
  const temporary = join(folder, `.tmp-${name}`);
  try {
    await disk.remove(temporary);
    await disk.createFolder(temporary);
    const records: FileRecord[] = [];
    for await (const file of files) {
      invariant(
        isFileName(file.name) && records.every((r) => r.name !== file.name),
        `checkpoint file ${file.name}: not a plain name, or there twice`,
      );
      records.push(await stream(temporary, file, disk));
    }
    const manifest = manifestText({ step, files: records });
    await disk.syncFolder(temporary);
    await writeNew(join(temporary, MANIFEST), manifest, disk);
    await disk.syncFolder(temporary);
    await putInPlace(folder, step, { temporary, manifest, disk });
  } catch (error) {
    await disk.remove(temporary).catch(() => {}); // the first failure is the one to tell
    throw explainDisk(error, join(folder, name));
  }
}

async function stream(folder: string, { name, chunks }: CheckpointFile, disk: Disk): Promise<FileRecord> {
  const out = await disk.createFile(join(folder, name));
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) {
      await out.write(chunk);
      hash.update(chunk);
      size += chunk.length;
    }
    await out.sync();
  } finally {
    await out.close();
  }
  return { name, size, sha256: hash.digest('hex') };
}

interface Written {
  readonly temporary: string;
  readonly manifest: string;
  readonly disk: Disk;
}

/** A folder that is already there was damaged, or is the same: a run that is resumed from an earlier step comes by again. */
async function putInPlace(folder: string, step: number, { temporary, manifest, disk }: Written): Promise<void> {
  const place = join(folder, checkpointFolder(step));
  try {
    await disk.rename(temporary, place);
  } catch (error) {
    if (!isTaken(error)) throw error;
    if ((await textOf(join(place, MANIFEST))) === manifest && (await verify(place, step)).length === 0) return disk.remove(temporary);
    await discard(folder, step, disk);
    await disk.rename(temporary, place);
  }
  await disk.syncFolder(folder);
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Removes a checkpoint; half removed, it is under a name that nobody takes for a checkpoint. */
export async function discard(folder: string, step: number, disk: Disk): Promise<void> {
  const trash = join(folder, `.trash-${checkpointFolder(step)}`);
  await disk.remove(trash);
  await disk.rename(join(folder, checkpointFolder(step)), trash);
  await disk.syncFolder(folder); // else a power failure might undo the new name, but not the removals
  await disk.remove(trash);
}

/** Which checkpoints outlive the next ones. */
export interface Retention {
  /** Steps whose checkpoint stays for good: a function of the recipe, not of what happened. */
  readonly permanent: (step: number) => boolean;
  /** How many of the others stay, newest first. */
  readonly rolling: number;
}

/** The steps of `steps` (ascending) that need not stay. */
export function expendable(steps: readonly number[], { permanent, rolling }: Retention): readonly number[] {
  const others = steps.filter((step) => !permanent(step));
  return others.slice(0, Math.max(0, others.length - rolling));
}
