/** Settings that the environment holds, and how places and commands are shown. */
import { availableParallelism, totalmem } from 'node:os';
import { relative } from 'node:path';
import { type Flag, parseWithin, value } from './command.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Folder of all runs: OPENMOE_RUNS, else `runs` here. */
export const runsRoot = (env: Environment): string => env['OPENMOE_RUNS'] || 'runs';

const MOST_THREADS = 1024;
const parseThreads = parseWithin(1, MOST_THREADS);

export const threadsFlag: Flag<number | undefined> = value({
  form: '<n>',
  about: 'threads that compute (default: OPENMOE_THREADS, else all)',
  parse: parseThreads,
});

export interface Threads {
  readonly count: number;
  readonly origin: '--threads' | 'OPENMOE_THREADS' | 'default';
}

/** The flag, else OPENMOE_THREADS, else as many as this process may use. Throws UserError E_NUMBER. */
export function chosenThreads(flag: number | undefined, env: Environment): Threads {
  if (flag !== undefined) return { count: flag, origin: '--threads' };
  const text = env['OPENMOE_THREADS'];
  if (text) return { count: parseThreads(text, 'OPENMOE_THREADS'), origin: 'OPENMOE_THREADS' };
  return { count: availableParallelism(), origin: 'default' };
}

/** The most memory this process may use, in bytes: what a container allows, or all there is. */
export function memoryLimit(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 && allowed < totalmem() ? allowed : totalmem();
}

/** A path as a person would write it from here. */
export function shownPath(path: string): string {
  const near = relative('', path);
  return near !== '' && !near.startsWith('..') && near.length < path.length ? near : path;
}

/** A word that a shell reads as one. */
export const quoted = (word: string): string => (/^[\w./@:=+,~-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);

/** The command that goes on with a run: the verb that began it is among its tags. */
export const resumeCommand = (dir: string, tags: readonly string[]): string =>
  `npx openmoe ${tags.includes('quickstart') ? 'quickstart' : 'train'} --resume --run ${quoted(shownPath(dir))}`;
