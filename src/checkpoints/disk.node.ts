/** Files on this machine's disk. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { damaged, type Files, type StoredFile } from './storage.ts';

/** One read of the operating system moves at most so much. */
const PIECE = 1 << 26;

/** Files by path, opened once each. */
export function diskFiles(): Files {
  const handles: FileHandle[] = [];
  const opened = new Map<string, Promise<StoredFile | undefined>>();
  return {
    list: (folder) => readdir(folder).catch(absent),
    open(path) {
      if (!opened.has(path)) opened.set(path, openFile(path, handles));
      return opened.get(path)!;
    },
    async close() {
      await Promise.all(handles.splice(0).map((handle) => handle.close()));
      opened.clear();
    },
  };
}

async function openFile(path: string, handles: FileHandle[]): Promise<StoredFile | undefined> {
  // A pipe in the place of a file would never open.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(absent);
  if (!handle) return undefined;
  handles.push(handle);
  const stat = await handle.stat();
  if (stat.isDirectory()) return undefined;
  if (!stat.isFile()) throw damaged('E_CHECKPOINT_READ', path, 'not a file');
  return { place: path, path, size: stat.size, read: (into, begin) => readInto(handle, into, { begin, path }) };
}

async function readInto(handle: FileHandle, into: Uint8Array, { begin, path }: { begin: number; path: string }): Promise<void> {
  for (let at = 0; at < into.length;) {
    const { bytesRead } = await handle.read(into, at, Math.min(PIECE, into.length - at), begin + at);
    if (bytesRead === 0) throw damaged('E_CHECKPOINT_READ', path, `the file ends at byte ${begin + at} while it is read`);
    at += bytesRead;
  }
}

/** Undefined for what is not there; anything else is told. */
function absent(error: unknown): undefined {
  const code = String((error as NodeJS.ErrnoException | undefined)?.code);
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined;
  throw error;
}
