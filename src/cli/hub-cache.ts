/** Models that Hugging Face's tools have downloaded, in their standard cache: models--ORG--NAME/snapshots/COMMIT. */
import { readdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** HF_HUB_CACHE, else hub in HF_HOME, else in XDG_CACHE_HOME/huggingface, else in ~/.cache/huggingface. */
export function hubCache(env: Environment): string {
  if (env['HF_HUB_CACHE']) return env['HF_HUB_CACHE'];
  if (env['HF_HOME']) return join(env['HF_HOME'], 'hub');
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'huggingface', 'hub');
}

export interface CachedModel {
  /** org/name */
  readonly id: string;
  readonly revision: string;
  readonly folder: string;
}

/** Every snapshot of every model, by name. */
export async function cachedModels(env: Environment): Promise<readonly CachedModel[]> {
  const cache = hubCache(env);
  const models = (await namesIn(cache)).filter((name) => name.startsWith('models--'));
  const snapshots = await Promise.all(
    models.map(async (name) => {
      const folder = join(cache, name, 'snapshots');
      return (await namesIn(folder)).map((revision) => ({ id: idOf(name), revision, folder: join(folder, revision) }));
    }),
  );
  return snapshots.flat();
}

const idOf = (folder: string): string => folder.slice('models--'.length).replace('--', '/');
const namesIn = async (folder: string): Promise<string[]> => (await readdir(folder).catch(() => [])).sort();

/** The snapshot that hf:org/name or hf:org/name@revision means. Throws UserErrors E_USAGE, E_CHECKPOINT_UNKNOWN (not found). */
export async function cachedSnapshot(ref: string, env: Environment): Promise<string> {
  const [, id, revision = 'main'] = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(ref) ?? [];
  if (id === undefined || /(^|\/)\.+(\/|$)/.test(`${id}/${revision}`))
    throw new UserError('E_USAGE', EXIT.usage, { message: `${ref} is not of the form hf:org/name@revision` });
  const folder = join(hubCache(env), `models--${id.replace('/', '--')}`);
  const commit = await readFile(join(folder, 'refs', revision), 'utf8').catch(() => revision);
  const snapshots = await namesIn(join(folder, 'snapshots'));
  const found =
    snapshots.find((name) => name === commit.trim()) ??
    snapshots.find((name) => commit.trim().length >= 7 && name.startsWith(commit.trim()));
  if (found !== undefined) return join(folder, 'snapshots', found);
  throw new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, {
    message: `${id}${revision === 'main' ? '' : ` of revision ${revision}`} is not in the cache`,
    place: folder,
    hint: `get it with: openmoe models pull ${ref}`,
  });
}
