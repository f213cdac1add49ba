/** Brings the files of a model on the hub into the cache, several at a time, only what is missing. */
import { mkdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, formatBytes, UserError } from '../base/index.ts';
import { linkFile, locate, repositoryFolder, writeRef } from './cache.ts';
import { download } from './download.ts';
import { type Listing, readListing, type RemoteFile } from './listing.ts';
import { exclusively } from './lock.ts';
import type { HubReference } from './reference.ts';
import type { Line } from './request.ts';
import type { HubSettings } from './settings.ts';

export interface PullProgress {
  readonly files: number;
  readonly filesDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
}

export interface Pulled {
  readonly folder: string;
  readonly commit: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** That came over the line just now. */
  readonly bytesFetched: number;
}

export interface PullOptions {
  /** Which of the model's files are wanted; all by default. */
  readonly choose?: (names: readonly string[]) => readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onRetry?: Line['onRetry'];
  /** See `Line`; 30 and 1 by default. */
  readonly patience?: number;
  readonly pause?: number;
}

/** Files at a time. */
const PARALLEL = 4;

/**
 * Throws UserErrors E_HUB_UNREACHABLE, E_HUB_DENIED, E_HUB_MISSING, E_HUB_OFFLINE (not found), E_HUB_HASH, E_HUB_LISTING (damaged), E_DISK_FULL
 * (does not fit). What has come stays for the next time.
 */
export async function pull(reference: HubReference, settings: HubSettings, options: PullOptions = {}): Promise<Pulled> {
  if (settings.offline) {
    const folder = await locate(reference, settings).catch(() => undefined);
    throw new UserError('E_HUB_OFFLINE', EXIT.notFound, {
      message: 'HF_HUB_OFFLINE is set: nothing is fetched',
      hint: folder === undefined ? `hf:${reference.repository} is not in the cache` : `what was pulled before stands in ${folder}`,
    });
  }
  const { signal, onRetry, patience = 30, pause = 1 } = options;
  const line: Line = { token: settings.token, signal, onRetry, patience, pause };
  const listing = await readListing(settings.endpoint, reference, line);
  const wanted = new Set(options.choose?.(listing.files.map((f) => f.name)) ?? listing.files.map((f) => f.name));
  const files = listing.files.filter((f) => wanted.has(f.name));
  const root = repositoryFolder(settings, reference.repository);
  const bytesFetched = await fetchFiles({ root, settings, reference, listing, files, line, onProgress: options.onProgress });
  await writeRef(root, reference.revision, listing.commit);
  return {
    folder: join(root, 'snapshots', listing.commit),
    commit: listing.commit,
    files: files.map(({ name, size }) => ({ name, bytes: size })),
    bytesFetched,
  };
}

interface Fetching {
  readonly root: string;
  readonly settings: HubSettings;
  readonly reference: HubReference;
  readonly listing: Listing;
  readonly files: readonly RemoteFile[];
  readonly line: Line;
  readonly onProgress: PullOptions['onProgress'];
}

async function fetchFiles({ root, settings, reference, listing, files, line, onProgress }: Fetching): Promise<number> {
  const blobs = join(root, 'blobs');
  await mkdir(blobs, { recursive: true }).catch((error: unknown) => {
    throw explained(error, blobs);
  });
  const have = await Promise.all(files.map((f) => sizeOf(blobs, f)));
  const bytes = files.reduce((sum, f) => sum + f.size, 0);
  let bytesDone = have.reduce((a, b) => a + b, 0);
  await refuseFull(blobs, bytes - bytesDone);
  let filesDone = 0;
  let fetched = 0;
  const tell = (): void => onProgress?.({ files: files.length, filesDone, bytes, bytesDone });
  const one = async (file: RemoteFile): Promise<void> => {
    const target = join(blobs, file.hash.hex);
    const url = `${settings.endpoint}/${reference.repository}/resolve/${listing.commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;
    const onBytes = (n: number): void => {
      bytesDone += n;
      fetched += Math.max(0, n);
      tell();
    };
    await exclusively(`${target}.lock`, line.signal, async () => {
      if ((await stat(target).catch(() => undefined))?.size !== file.size) await download(line, { url, file, target, onBytes });
    });
    await linkFile(root, { commit: listing.commit, name: file.name, blob: file.hash.hex });
    filesDone++;
    tell();
  };
  const queue = files.values();
  const worker = async (): Promise<void> => {
    for (const file of queue) await one(file);
  };
  const results = await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
  for (const result of results) if (result.status === 'rejected') throw explained(result.reason, blobs);
  return fetched;
}

/** Bytes of a file that are here already, whole or in part. */
async function sizeOf(blobs: string, { hash, size }: RemoteFile): Promise<number> {
  const path = join(blobs, hash.hex);
  const at = (await stat(path).catch(() => undefined)) ?? (await stat(`${path}.incomplete`).catch(() => undefined));
  return Math.min(at?.size ?? 0, size);
}

/** Failures of the disk that the user can mend; anything else as it came. */
function explained(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const hint = 'name another cache with HF_HUB_CACHE';
  if (['ENOSPC', 'EDQUOT'].includes(code))
    return new UserError('E_DISK_FULL', EXIT.doesNotFit, {
      message: 'no space left on the disk',
      place: folder,
      hint: `free some, or ${hint}`,
    });
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code))
    return new UserError('E_NOT_WRITABLE', EXIT.usage, { message: `cannot write here (${code})`, place: folder, hint });
  return error;
}

async function refuseFull(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (needed > free)
    throw new UserError('E_DISK_FULL', EXIT.doesNotFit, {
      message: `${formatBytes(needed)} are missing and ${formatBytes(free)} are free`,
      place: folder,
      hint: 'free some, or name another cache with HF_HUB_CACHE',
    });
}
