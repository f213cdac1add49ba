/** What the run folder asks of a file system when it writes; tests put a failing one in its place. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';

/** A new file that is written once from front to back. */
export interface NewFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Returns when the bytes are on the device. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A file that grows by whole records; synchronous, so that a killed process has lost nothing that it appended. */
export interface GrowingFile {
  append(bytes: Uint8Array): void;
  sync(): void;
  close(): void;
}

export interface Disk {
  /** Fails when there is such a file. */
  createFile(path: string): Promise<NewFile>;
  openGrowing(path: string): GrowingFile;
  /** With its parents; an existing folder is fine. */
  createFolder(path: string): Promise<void>;
  /** Makes new, renamed and removed names in this folder durable. */
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file; fails when the name is taken. */
  link(from: string, to: string): Promise<void>;
  /** A file or a whole folder, if it is there. */
  remove(path: string): Promise<void>;
}

export const nodeDisk: Disk = {
  async createFile(path) {
    const handle = await open(path, 'wx');
    return {
      write: (bytes) => handle.writeFile(bytes), // unlike write(), never part of the bytes only
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  openGrowing,
  createFolder: async (path) => void (await mkdir(path, { recursive: true })),
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  rename,
  link,
  remove: (path) => rm(path, { recursive: true, force: true }),
};

function openGrowing(path: string): GrowingFile {
  const file = openSync(path, 'a');
  return {
    append(bytes) {
      const before = fstatSync(file).size;
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      } catch (error) {
        ftruncateSync(file, before); // a full disk takes part of a record: take it back
        throw error;
      }
    },
    sync: () => fsyncSync(file),
    close: () => closeSync(file),
  };
}

/** Puts `bytes` at `path` so that a crash at any time leaves the old file or the new one, whole. Throws what `explainDisk` makes of failures. */
export async function writeAtomic(path: string, bytes: Uint8Array | string, disk: Disk = nodeDisk): Promise<void> {
  const temporary = join(dirname(path), `.tmp-${process.pid}-${basename(path)}`);
  try {
    await disk.remove(temporary);
    await writeNew(temporary, bytes, disk);
    await disk.rename(temporary, path);
    await disk.syncFolder(dirname(path));
  } catch (error) {
    await disk.remove(temporary).catch(() => {});
    throw explainDisk(error, path);
  }
}

/** A new file, on the device when this returns. */
export async function writeNew(path: string, bytes: Uint8Array | string, disk: Disk): Promise<void> {
  const file = await disk.createFile(path);
  try {
    await file.write(typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException | undefined)?.code);

/** E_DISK_FULL (does not fit) and E_NOT_WRITABLE (usage) for failures that the user can mend; anything else as it came. */
export function explainDisk(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new UserError('E_DISK_FULL', EXIT.doesNotFit, {
      message: 'no space left on the disk',
      place: path,
      hint: 'free some, then continue with --resume',
    });
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENAMETOOLONG'].includes(code))
    return new UserError('E_NOT_WRITABLE', EXIT.usage, {
      message: `cannot write here (${code})`,
      place: path,
      hint: 'choose another folder with --run',
    });
  return error;
}

export const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error));
/** Missing, or nothing that this user could get at under this name. */
export const isUnreachable = (error: unknown): boolean =>
  isMissing(error) || ['EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'].includes(codeOf(error));
export const isTaken = (error: unknown): boolean => ['EEXIST', 'ENOTEMPTY'].includes(codeOf(error));
