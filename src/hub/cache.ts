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

/** A ref's commit, a whole commit, or the one cached commit that begins with these 7 digits or more. */
async function commitOf({ revision }: HubReference, root: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const commit = (await readFile(join(root, 'refs', revision), 'utf8').catch(() => '')).trim();
  if (isCommit(commit)) return commit;
  const begun = (await list(join(root, 'snapshots'))).filter((name) => /^[0-9a-f]{7,}$/.test(revision) && name.startsWith(revision));
  return begun.length === 1 ? begun[0] : undefined;
}

export interface CachedModel {
  readonly repository: string;
  readonly commit: string;
  readonly folder: string;
}

/** Every snapshot of every model in the cache, by name. */
export async function cachedModels({ cache }: Pick<HubSettings, 'cache'>): Promise<readonly CachedModel[]> {
  const names = (await list(cache)).filter((name) => /^models--.+--.+$/.test(name));
  const snapshots = names.map(async (name) => {
    const folder = join(cache, name, 'snapshots');
    const repository = name.slice('models--'.length).replace('--', '/');
    return (await list(folder)).map((commit) => ({ repository, commit, folder: join(folder, commit) }));
  });
  return (await Promise.all(snapshots)).flat();
}

const list = async (folder: string): Promise<string[]> => (await readdir(folder).catch(() => [])).sort();

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
