/** One process at a time per file of the cache. */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { lives } from '../base/index.ts';

/** Milliseconds between looks at a lock that another holds. */
const LOOK = 200;

/** Locks of this process. One that bears our number and is not among them was left by a dead process that had the same. */
const held = new Set<string>();

/** Runs `work` while this process holds the lock file; locks of processes that died are taken over. */
export async function exclusively<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  while (!(await taken(path))) {
    signal?.throwIfAborted();
    if (await abandoned(path)) await rm(path, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  held.add(path);
  try {
    return await work();
  } finally {
    held.delete(path);
    await rm(path, { force: true });
  }
}

async function taken(path: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    await handle.writeFile(String(process.pid));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether the owner is gone. A lock without a number belongs to one that is just being made, unless it has been so for a while. */
async function abandoned(path: string): Promise<boolean> {
  const owner = Number(await readFile(path, 'utf8').catch(() => ''));
  if (owner > 0) return owner === process.pid ? !held.has(path) : !lives(owner);
  const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
  return age > 10 * LOOK;
}
