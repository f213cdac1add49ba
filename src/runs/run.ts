/** A run folder as its one writing process holds it: locked, with a heartbeat, every change crash-safe. */
import { readdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { EXIT, UserError, lives } from '../base/index.ts';
import { type Appender, openAppender, truncateAfter } from './appender.ts';
import { type Disk, explainDisk, isMissing, nodeDisk, writeAtomic } from './disk.ts';
import { growingFiles, HEARTBEAT_SECONDS, isRun, readRun, type RunFolder, runFolder, type RunInfo, type RunState } from './folder.ts';
import { acquire, release } from './lock.ts';
import { freshAnimal, runId } from './name.ts';
import { foldersOf } from './read-checkpoint.ts';
import { type CheckpointFile, discard, expendable, type Retention, saveCheckpoint } from './save-checkpoint.ts';

export interface Run extends RunFolder {
  /** Writes run.json. `detail` replaces what was said about the state before. */
  setState(state: RunState, detail?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Puts a whole file (`report.html`, `data.md`, …) in its place, atomically. */
  write(name: string, content: Uint8Array | string): Promise<void>;
  /** The growing file of that name (`metrics.jsonl`, `routing/load.jsonl`); opened once, closed with the run. */
  appender(name: string): Appender;
  /** One line in log.txt, after the time. */
  log(text: string): void;
  /**
   * For a run that goes on from `step`: drops what any growing file says about later steps, and later checkpoints. Those are damaged,
   * else it would go on from them; left there they would pass for the newest ones.
   */
  truncateAfter(step: number): Promise<void>;
  /** Puts all appended lines on the device, then a checkpoint in `checkpoints/`. Throws E_DISK_FULL; earlier checkpoints stay as they are. */
  saveCheckpoint(step: number, files: Iterable<CheckpointFile> | AsyncIterable<CheckpointFile>): Promise<void>;
  /** Deletes checkpoints that need not stay; returns their steps. */
  keep(retention: Retention): Promise<readonly number[]>;
  /** Gives the folder free. Says nothing about the state: set that before. */
  close(): Promise<void>;
}

export interface NewRun {
  /** Folder of all runs. */
  readonly root: string;
  /** A folder of the user's choice instead of one in `root`. */
  readonly dir?: string;
  /** Instead of an animal. */
  readonly name?: string;
  /** Written as recipe.json, origin.json (where each setting came from), env.json (`environment`). */
  readonly recipe: object;
  readonly origin: object;
  readonly env: object;
  readonly tags?: readonly string[];
}

/** Makes a run folder and holds it. Throws E_RUN_EXISTS or E_RUN_BUSY (usage), E_DISK_FULL (does not fit). */
export async function createRun(given: NewRun, disk: Disk = nodeDisk): Promise<Run> {
  if (given.dir !== undefined) return createAt(resolve(given.dir), given, disk);
  const name = given.name ?? freshAnimal(await namesIn(given.root));
  const today = new Date();
  for (let count = 1; ; count++) {
    try {
      return await createAt(resolve(given.root, runId(today, name, count)), given, disk);
    } catch (error) {
      if (!(error instanceof UserError && ['E_RUN_EXISTS', 'E_RUN_BUSY'].includes(error.code))) throw error;
    }
  }
}

async function createAt(dir: string, { recipe, origin, env, tags = [] }: NewRun, disk: Disk): Promise<Run> {
  try {
    await disk.createFolder(dir);
    await refuseUsed(dir);
    await acquire(join(dir, 'lock'), disk);
  } catch (error) {
    throw explainDisk(error, dir);
  }
  try {
    await refuseUsed(dir); // again: somebody may have had the lock, and finished
    await makeFolders(dir, disk);
    for (const [name, value] of Object.entries({ recipe, origin, env })) await writeAtomic(join(dir, `${name}.json`), pretty(value), disk);
    const now = new Date().toISOString();
    const info: RunInfo = {
      schema: 'openmoe.run/1',
      id: runFolder(dir).id,
      state: 'running',
      created: now,
      updated: now,
      tags,
      detail: {},
    };
    await writeAtomic(join(dir, 'run.json'), pretty(info), disk); // last: without it the folder is no run
    await disk.syncFolder(dirname(dir));
  } catch (error) {
    await release(join(dir, 'lock'), disk).catch(() => {});
    throw explainDisk(error, dir);
  }
  return hold(dir, disk);
}

async function makeFolders(dir: string, disk: Disk): Promise<void> {
  for (const folder of ['checkpoints', 'routing']) await disk.createFolder(join(dir, folder));
}

/** What a run that was not made to the end may have left. */
const BEGINNINGS = /^(\.tmp-.*|lock.*|(recipe|origin|env)\.json|checkpoints|routing)$/;

async function refuseUsed(dir: string): Promise<void> {
  if (await isRun(dir))
    throw new UserError('E_RUN_EXISTS', EXIT.usage, {
      message: 'there is a run in this folder',
      place: dir,
      hint: 'go on with it by --resume, or choose another folder',
    });
  const other = (await namesIn(dir)).find((name) => !BEGINNINGS.test(name));
  if (other !== undefined)
    throw new UserError('E_RUN_EXISTS', EXIT.usage, {
      message: `the folder is not empty: it holds ${other}`,
      place: dir,
      hint: 'choose another folder with --run',
    });
}

/** Opens an existing run to go on with it: state `running`, leftovers of crashes removed. Throws E_RUN_UNKNOWN (not found), E_RUN_BUSY (usage). */
export async function openRun(dir: string, disk: Disk = nodeDisk): Promise<Run> {
  const folder = await readRun(dir);
  try {
    await acquire(folder.path('lock'), disk);
    await sweep(folder.dir, disk);
    await makeFolders(folder.dir, disk); // empty ones do not survive every way of copying a run
  } catch (error) {
    throw explainDisk(error, folder.dir);
  }
  const run = hold(folder.dir, disk);
  try {
    await run.truncateAfter(Infinity);
    await run.setState('running');
    return run;
  } catch (error) {
    await run.close().catch(() => {});
    throw error;
  }
}

/** Removes unfinished checkpoints and files, and claims to the lock, that nobody is at work on any more. */
async function sweep(dir: string, disk: Disk): Promise<void> {
  for (const name of await namesIn(join(dir, 'checkpoints')))
    if (/^\.(tmp|trash)-/.test(name)) await disk.remove(join(dir, 'checkpoints', name));
  for (const name of await namesIn(dir)) {
    const pid = /^(?:\.tmp-(\d+)-|lock(?:\.next)*\.(\d+)\.\d+$)/.exec(name);
    if (pid && !lives(Number(pid[1] ?? pid[2]))) await disk.remove(join(dir, name));
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

const pretty = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

function hold(dir: string, disk: Disk): Run {
  const folder = runFolder(dir);
  const appenders = new Map<string, Appender>();
  const beat = (): Promise<void> => writeFile(folder.path('heartbeat'), `${new Date().toISOString()}\n`).catch(() => {}); // a full disk must not end the run
  const timer = setInterval(() => void beat(), HEARTBEAT_SECONDS * 1000).unref();
  const appender = (name: string): Appender => {
    if (!appenders.has(name)) appenders.set(name, openAppender(folder.path(name), disk));
    return appenders.get(name)!;
  };
  return {
    ...folder,
    appender,
    write: (name, content) => writeAtomic(folder.path(name), content, disk),
    log(text) {
      const file = disk.openGrowing(folder.path('log.txt'));
      try {
        file.append(new TextEncoder().encode(`${new Date().toISOString()} ${text}\n`));
      } catch (error) {
        throw explainDisk(error, folder.path('log.txt'));
      } finally {
        file.close();
      }
    },
    async setState(state, detail = {}) {
      const info = await folder.info();
      await writeAtomic(
        folder.path('run.json'),
        pretty({ ...info, state, updated: new Date().toISOString(), detail } satisfies RunInfo),
        disk,
      );
      await beat();
    },
    async truncateAfter(step) {
      for (const later of await foldersOf(folder.path('checkpoints')))
        if (later > step) await discard(folder.path('checkpoints'), later, disk);
      for (const name of await growingFiles(dir))
        await (appenders.get(name)?.truncateAfter(step) ?? truncateAfter(folder.path(name), step, disk));
    },
    async saveCheckpoint(step, files) {
      for (const file of appenders.values()) file.flush();
      await saveCheckpoint(folder.path('checkpoints'), step, { files, disk });
    },
    async keep(retention) {
      const gone = expendable(await folder.checkpoints(), retention);
      for (const step of gone) await discard(folder.path('checkpoints'), step, disk);
      return gone;
    },
    async close() {
      clearInterval(timer);
      for (const file of appenders.values()) file.close();
      await release(folder.path('lock'), disk);
    },
  };
}
