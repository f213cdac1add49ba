/** A folder written beside its place and renamed when it is whole. */
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT, lives, UserError } from '../base/index.ts';
import type { OutFile, OutFolder } from './write-tensors.ts';

/** Folders that this process is filling; one that bears its number and is not among them was left by a dead process that had the same. */
const filling = new Set<string>();

/**
 * Lets `write` fill a folder; it stands at `path` when all of it is on the device, and leaves nothing behind when `write` throws.
 * What processes that were killed left beside the same `path` is removed. Throws UserErrors E_OUT_EXISTS, E_NOT_WRITABLE (2), E_DISK_FULL (5), and what `write` throws.
 */
export async function writeFolder<T>(path: string, write: (out: OutFolder) => Promise<T>): Promise<T> {
  const beside = join(resolve(dirname(path)), `.tmp-${process.pid}-${basename(path)}`);
  // A second Ctrl-C ends the process at once.
  const remove = (): void => rmSync(beside, { recursive: true, force: true });
  process.on('exit', remove);
  try {
    if (await exists(path))
      throw new UserError('E_OUT_EXISTS', EXIT.usage, {
        message: 'there is such a file or folder',
        place: path,
        hint: 'choose another name',
      });
    await mkdir(dirname(path), { recursive: true });
    await sweep(path);
    await mkdir(beside);
    filling.add(beside);
    const result = await write(folder(beside));
    await sync(beside);
    await rename(beside, path);
    await sync(dirname(path));
    return result;
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    throw explained(error, path);
  } finally {
    filling.delete(beside);
    process.off('exit', remove);
  }
}

/** Removes `.tmp-PID-OUT` of dead processes. */
async function sweep(path: string): Promise<void> {
  const beside = resolve(dirname(path));
  for (const name of await readdir(beside)) {
    const [, pid, out] = /^\.tmp-(\d+)-(.*)$/s.exec(name) ?? [];
    if (pid === undefined || out !== basename(path)) continue;
    const left = join(beside, name);
    if (Number(pid) === process.pid ? !filling.has(left) : !lives(Number(pid))) await rm(left, { recursive: true, force: true });
  }
}

const folder = (path: string): OutFolder => ({
  create: (name, size) => createFile(join(path, name), size),
  async writeWhole(name, bytes) {
    const file = await createFile(join(path, name), bytes.length);
    await file.write(bytes, 0);
    await file.close();
  },
});

async function createFile(path: string, size: number): Promise<OutFile> {
  const handle = await open(path, 'wx');
  await handle.truncate(size); // all holes
  return {
    async write(bytes, at) {
      for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
    },
    async close() {
      await handle.sync();
      await handle.close();
    },
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await (await open(path, 'r')).close();
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Failures that the user can mend; anything else as it came. */
function explained(error: unknown, place: string): unknown {
  const code = String((error as NodeJS.ErrnoException | undefined)?.code);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new UserError('E_DISK_FULL', EXIT.doesNotFit, { message: 'no space left on the disk', place });
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENAMETOOLONG'].includes(code))
    return new UserError('E_NOT_WRITABLE', EXIT.usage, { message: `cannot write here (${code})`, place, hint: 'choose another folder' });
  return error;
}
