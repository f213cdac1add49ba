/** What a revision of a model consists of, as the hub says. */
import { z } from 'zod';
import { concat, EXIT, UserError } from '../base/index.ts';
import { isCommit } from './cache.ts';
import type { HubReference } from './reference.ts';
import { get, type Line, persistently } from './request.ts';

export interface RemoteFile {
  /** Path within the model, with `/` between folders. */
  readonly name: string;
  readonly size: number;
  /** SHA-256 of the content for large files; git's SHA-1 of it, with its header, for the others. */
  readonly hash: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

export interface Listing {
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

const size = z.number().int().nonnegative();
const Sibling = z.object({
  rfilename: z.string().max(1024),
  size,
  blobId: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z
    .object({ size, sha256: z.string().regex(/^[0-9a-f]{64}$/) })
    .optional()
    .nullable(),
});
const Revision = z.object({ sha: z.string().refine(isCommit), siblings: z.array(Sibling).max(100_000) });

/** Bytes that a listing may have. */
const MOST = 64 * 2 ** 20;

/** Throws the UserErrors of `get`, and E_HUB_LISTING (damaged) for an answer of another form or with names that leave the folder. */
export async function readListing(endpoint: string, { repository, revision }: HubReference, line: Line): Promise<Listing> {
  const url = `${endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const text = await persistently(line, url, async () => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of (await get(line, url)).body) {
      if ((bytes += chunk.length) > MOST) throw unexpected(url, `the listing is larger than ${MOST} bytes`);
      chunks.push(chunk);
    }
    return new TextDecoder().decode(concat(chunks));
  });
  const read = Revision.safeParse(parse(text));
  if (!read.success) throw unexpected(url, `not a listing of a model: ${z.prettifyError(read.error).split('\n')[0]}`);
  const files = read.data.siblings.map(({ rfilename: name, size, blobId, lfs }): RemoteFile => {
    if (!isInside(name)) throw unexpected(url, `the file name ${JSON.stringify(name)} leaves the model's folder`);
    return lfs ? { name, size: lfs.size, hash: { kind: 'sha256', hex: lfs.sha256 } } : { name, size, hash: { kind: 'git', hex: blobId } };
  });
  const names = new Set(files.map((f) => f.name));
  const folders = files.flatMap((f) =>
    f.name
      .split('/')
      .slice(0, -1)
      .map((_, i, parts) => parts.slice(0, i + 1).join('/')),
  );
  if (names.size < files.length || folders.some((folder) => names.has(folder)))
    throw unexpected(url, 'two files of the listing have one name');
  return { commit: read.data.sha, files };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isInside = (name: string): boolean =>
  // eslint-disable-next-line no-control-regex
  !/[\\\0-\x1f:]/.test(name) && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255);

const unexpected = (place: string, message: string): UserError => new UserError('E_HUB_LISTING', EXIT.damaged, { message, place });
