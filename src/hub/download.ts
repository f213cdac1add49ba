/** One file brought onto this disk: goes on where it stopped, and gets its name only when its hash is right. */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { EXIT, UserError } from '../base/index.ts';
import type { RemoteFile } from './listing.ts';
import { get, Interrupted, type Line, persistently } from './request.ts';

export interface Download {
  readonly url: string;
  readonly file: RemoteFile;
  /** Where the file goes; what has come of it stands beside, with `.incomplete` at its end. */
  readonly target: string;
  /** Told of bytes that are on this disk, of which `fresh` came just now; negative when they had to be thrown away. */
  readonly onBytes: (bytes: number) => void;
}

/** Throws UserErrors E_HUB_HASH (damaged) when the content is wrong twice, and those of `get` and `persistently`. */
export async function download(line: Line, { url, file, target, onBytes }: Download): Promise<void> {
  const partial = `${target}.incomplete`;
  const handle = await open(partial, 'a+');
  try {
    let size = (await handle.stat()).size;
    let most = size;
    for (let wrong = 0; ; wrong++) {
      const hash = await persistently(line, url, (progressed) => {
        const count = (bytes: number): void => {
          size += bytes;
          if (size > most) progressed(); // a server that begins again each time brings nothing new
          most = Math.max(most, size);
          onBytes(bytes);
        };
        return complete(line, handle, { url, file, onBytes: count });
      });
      if (hash === file.hash.hex) break;
      if (wrong > 0) throw mismatch(url, file, hash);
      line.onRetry?.(`${file.name} came with the wrong content`, 0);
      onBytes(-file.size);
      size = 0;
      await handle.truncate(0);
    }
    await handle.sync();
    await rename(partial, target);
  } catch (error) {
    if (error instanceof UserError && error.code === 'E_HUB_HASH') await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** Fetches what is missing of the file; returns the hash of all of it. */
async function complete(line: Line, handle: FileHandle, { url, file, onBytes }: Omit<Download, 'target'>): Promise<string> {
  let have = (await handle.stat()).size;
  if (have > file.size) {
    await handle.truncate(0);
    onBytes(-have);
    have = 0;
  }
  const hasher = newHash(file);
  await hashFirst(handle, have, hasher);
  if (have === file.size) return hasher.digest('hex');
  const { status, headers, body } = await get(line, url, have > 0 ? { range: `bytes=${have}-` } : {});
  if (have > 0 && !continues(status, headers, have)) {
    // The server sends all of it, or something else: begin again.
    onBytes(-have);
    await handle.truncate(0);
    if (status !== 200) throw new Interrupted(`the server does not continue at byte ${have}`);
    return append(handle, { hasher: newHash(file), have: 0, body, file, onBytes });
  }
  return append(handle, { hasher, have, body, file, onBytes });
}

const continues = (status: number, headers: Headers, have: number): boolean =>
  status === 206 && new RegExp(`^bytes ${have}-`).test(headers.get('content-range') ?? '');

interface Appending {
  readonly hasher: Hash;
  readonly have: number;
  readonly body: AsyncIterable<Uint8Array>;
  readonly file: RemoteFile;
  readonly onBytes: (bytes: number) => void;
}

async function append(handle: FileHandle, { hasher, have, body, file, onBytes }: Appending): Promise<string> {
  let size = have;
  for await (const chunk of body) {
    // More than it should be is as wrong as other content: the rest is not wanted.
    const piece = chunk.subarray(0, file.size - size);
    await handle.appendFile(piece);
    hasher.update(piece);
    size += piece.length;
    onBytes(piece.length);
    if (piece.length < chunk.length) break;
  }
  if (size < file.size) throw new Interrupted(`the line ended ${file.size - size} bytes too early`);
  return hasher.digest('hex');
}

/** Git hashes a file behind a header with its size. */
function newHash({ hash, size }: RemoteFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

async function hashFirst(handle: FileHandle, bytes: number, hasher: Hash): Promise<void> {
  const buffer = new Uint8Array(1 << 20);
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (bytesRead === 0) throw new Interrupted('the unfinished file became shorter while it was read');
    hasher.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

const mismatch = (place: string, { name, hash }: RemoteFile, got: string): UserError =>
  new UserError('E_HUB_HASH', EXIT.damaged, {
    message: `${name} came twice with another content than the hub lists: ${hash.kind} ${got}`,
    place,
    hint: `expected ${hash.hex}; nothing was kept`,
  });
