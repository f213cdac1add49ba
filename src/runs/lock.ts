/** One writing process per run folder: a lock file that names its owner, taken over from owners that have died. */
import { readFile } from 'node:fs/promises';
import { EXIT, UserError } from '../base/index.ts';
import { type Disk, isMissing, isTaken, writeNew } from './disk.ts';
import { liveness, type ProcessIdentity, thisProcess } from './process.ts';

/**
 * Takes the lock file `path` for this process. Throws E_RUN_BUSY (usage) naming the owner when that lives or cannot be asked.
 *
 * A dead owner's file is replaced only by who holds the lock `path.next`, and only after reading it again; so of two
 * processes that find the same dead owner one wins, and the other does not overwrite the winner.
 */
export async function acquire(path: string, disk: Disk, depth = 0): Promise<void> {
  const claim = `${path}.${process.pid}.${claims++}`;
  await writeNew(claim, `${JSON.stringify(thisProcess())}\n`, disk);
  try {
    if (await linked(claim, path, disk)) return;
    await refuseLiving(path);
    if (depth === 4) throw busy(path, 'by processes that died while they took it over'); // each level is a crash within a crash's milliseconds
    await acquire(`${path}.next`, disk, depth + 1);
    try {
      const dead = await refuseLiving(path);
      if (dead) await disk.rename(claim, path);
      else if (!(await linked(claim, path, disk))) throw busy(path, 'by a process that has just taken it');
    } finally {
      await release(`${path}.next`, disk);
    }
  } finally {
    await disk.remove(claim);
  }
}

let claims = 0;

/** Gives the lock back, if it is still this process's. */
export async function release(path: string, disk: Disk): Promise<void> {
  const owner = await ownerOf(path);
  if (typeof owner === 'object' && owner.pid === process.pid) await disk.remove(path);
}

/** The owner written in a lock file; undefined when there is no lock, `unreadable` when its content names nobody. */
export async function ownerOf(path: string): Promise<ProcessIdentity | 'unreadable' | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const { pid, start, host } = JSON.parse(text) as Partial<ProcessIdentity>;
    return Number.isInteger(pid) && pid! > 0 && typeof start === 'string' && typeof host === 'string'
      ? { pid: pid!, start, host }
      : 'unreadable';
  } catch {
    return 'unreadable';
  }
}

async function linked(from: string, to: string, disk: Disk): Promise<boolean> {
  try {
    await disk.link(from, to);
    return true;
  } catch (error) {
    if (isTaken(error)) return false;
    throw error;
  }
}

/** Whether there is a lock of a dead owner (nobody but a taker removes that). Throws E_RUN_BUSY when the owner lives or cannot be asked. */
async function refuseLiving(path: string): Promise<boolean> {
  const owner = await ownerOf(path);
  if (owner === undefined) return false;
  if (owner === 'unreadable') return true; // locks appear whole, so a power failure tore it
  const state = liveness(owner);
  if (state === 'alive') throw busy(path, owner.pid === process.pid ? 'by this process' : `by process ${owner.pid}`);
  if (state === 'unknown') throw busy(path, `by process ${owner.pid} on ${owner.host}`, `if that has ended, delete ${path}`);
  return true;
}

const busy = (path: string, owner: string, hint = 'wait for it, stop it, or choose another folder with --run'): UserError =>
  new UserError('E_RUN_BUSY', EXIT.usage, { message: `the run is in use ${owner}`, place: path.replace(/\/lock(\.next)*$/, ''), hint });
