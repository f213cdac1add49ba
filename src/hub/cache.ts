/** The cache on this disk: blobs by hash, snapshots that link to them by commit, and what each branch or tag was when last asked. */
import { mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import type { HubReference } from './reference.ts';
import type { HubSettings } from './settings.ts';

const COMMIT = /^[0-9a-f]{40}$/;

export const isCommit = (revision: string): boolean => COMMIT.test(revision);

export const repositoryFolder = ({ cache }: Pick<HubSettings, 'cache'>, repository: string): string =>
  join(cache, `models--${repository.replace('/', '--')}`);

/** Folder of the files of a revision as pulled. Throws UserError E_NOT_CACHED (not found). */
export async function locate(reference: HubReference, settings: HubSettings): Promise<string> {
  const root = repositoryFolder(settings, reference.repository);
  const commit = await commitOf(reference, root);
  const folder = join(root, 'snapshots', commit ?? '');
  if (commit !== undefined && (await stat(folder).catch(() => undefined))?.isDirectory()) return folder;
  const { repository, revision } = reference;
  throw new UserError('E_NOT_CACHED', EXIT.notFound, {
    message: `hf:${repository}@${revision} is not on this machine`,
    place: root,
    hint: `get it with: openmoe models pull hf:${repository}${revision === 'main' ? '' : `@${revision}`}`,
  });
}

async function commitOf({ revision }: HubReference, root: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const commit = (await readFile(join(root, 'refs', revision), 'utf8').catch(() => '')).trim();
  return isCommit(commit) ? commit : undefined;
}

export interface CachedRepository {
  readonly repository: string;
  readonly revisions: readonly string[];
  /** Of all blobs. */
  readonly bytes: number;
}

/** What the cache holds, by name. */
export async function cachedRepositories(settings: HubSettings): Promise<CachedRepository[]> {
  const names = (await list(settings.cache)).filter((name) => /^models--.+--.+$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const root = join(settings.cache, name);
      const blobs = await list(join(root, 'blobs'));
      const sizes = await Promise.all(blobs.map(async (blob) => (await stat(join(root, 'blobs', blob)).catch(() => undefined))?.size ?? 0));
      const refs = await readdir(join(root, 'refs'), { recursive: true, withFileTypes: true }).catch(() => []);
      return {
        repository: name.slice('models--'.length).replace('--', '/'),
        revisions: refs.filter((r) => r.isFile()).map((r) => relative(join(root, 'refs'), join(r.parentPath, r.name))),
        bytes: sizes.reduce((a, b) => a + b, 0),
      };
    }),
  );
}

const list = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

/** Makes `snapshots/COMMIT/NAME` a link to the blob; what stands there already is replaced in one move. */
export async function linkFile(root: string, { commit, name, blob }: { commit: string; name: string; blob: string }): Promise<void> {
  const link = join(root, 'snapshots', commit, name);
  const target = relative(dirname(link), join(root, 'blobs', blob));
  if ((await readlink(link).catch(() => undefined)) === target) return;
  await mkdir(dirname(link), { recursive: true });
  const temporary = `${link}.${process.pid}.new`;
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, link);
}

/** Remembers what a branch or tag is. A ref is written when every file is there. */
export async function writeRef(root: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  const file = join(root, 'refs', revision);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}.new`, commit);
  await rename(`${file}.${process.pid}.new`, file);
}
