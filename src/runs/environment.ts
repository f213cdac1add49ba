/** env.json: what a run ran on, so that a number can be explained years later. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { arch, cpus, release, totalmem, type } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface Environment {
  readonly schema: 'openmoe.env/1';
  readonly openmoe: string;
  readonly node: string;
  readonly os: string;
  readonly cpu: { readonly model: string; readonly architecture: string; readonly threads: number };
  /** Bytes. */
  readonly memory: number;
  /** Of the checkout that the code is in; null for an installed package. `dirty` is the SHA-256 of `git diff HEAD`, null when clean. */
  readonly git: { readonly revision: string; readonly dirty: string | null } | null;
  readonly argv: readonly string[];
}

/** Looks at this machine and process; `extra` (engine, seeds, hash of the data) is laid beside what was found. */
export async function environment<T extends object>(extra: T): Promise<Environment & T> {
  const home = packageHome();
  return {
    schema: 'openmoe.env/1',
    openmoe: (JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { readonly version: string }).version,
    node: process.version,
    os: `${type()} ${release()}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', architecture: arch(), threads: cpus().length },
    memory: totalmem(),
    git: await gitState(home),
    argv: process.argv.slice(2),
    ...extra,
  };
}

/** The folder of openmoe's own package.json, above this file wherever the build has put it. */
export function packageHome(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (packageName(dir) !== 'openmoe' && dir !== dirname(dir)) dir = dirname(dir);
  return dir;
}

function packageName(dir: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { readonly name?: unknown }).name;
  } catch {
    return undefined;
  }
}

const run = promisify(execFile);

/** Null without git, outside a checkout, and for a package installed inside somebody else's checkout. */
async function gitState(home: string): Promise<Environment['git']> {
  const git = async (...args: readonly string[]): Promise<string> =>
    (await run('git', ['-C', home, ...args], { maxBuffer: 1 << 28 })).stdout;
  try {
    if ((await git('rev-parse', '--show-prefix')).trim() !== '') return null;
    const diff = await git('diff', 'HEAD', '--no-ext-diff', '--binary');
    return {
      revision: (await git('rev-parse', 'HEAD')).trim(),
      dirty: diff === '' ? null : createHash('sha256').update(diff).digest('hex'),
    };
  } catch {
    return null;
  }
}
