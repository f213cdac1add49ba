/** A run folder as its readers see it: who reads needs no lock and never changes anything. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { EXIT, type JsonLine, parseGrowingJsonLines, UserError } from '../base/index.ts';
import { isMissing, isUnreachable } from './disk.ts';
import { ownerOf } from './lock.ts';
import { liveness } from './process.ts';
import {
  type Checkpoint,
  checkpointFolder,
  checkpointSteps,
  type Damage,
  foldersOf,
  missing,
  readCheckpoint,
  verify,
} from './read-checkpoint.ts';

/** What run.json may say; `crashed` is also what a reader finds when it says `running` and nobody runs it. */
const STATES = ['running', 'finished', 'stopped', 'crashed', 'diverged'] as const;
export type RunState = (typeof STATES)[number];

/** run.json. */
export interface RunInfo {
  readonly schema: 'openmoe.run/1';
  readonly id: string;
  readonly state: RunState;
  /** ISO 8601. */
  readonly created: string;
  /** When the state was set, ISO 8601. */
  readonly updated: string;
  readonly tags: readonly string[];
  /** What there is to say about the state: the step, a reason, the last good checkpoint. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface NewestSound {
  /** Undefined when no checkpoint is sound. */
  readonly step: number | undefined;
  /** Newer ones that are damaged, newest first: to be told to the user. */
  readonly skipped: readonly { readonly step: number; readonly damages: readonly Damage[] }[];
}

export interface RunFolder {
  readonly id: string;
  /** Absolute path. */
  readonly dir: string;
  /** Absolute path of a file in the run. */
  path(...names: readonly string[]): string;
  /** run.json, its state corrected to `crashed` when its process has died. Throws E_RUN_DAMAGED (damaged). */
  info(): Promise<RunInfo>;
  /** `recipe.json`, `origin.json`, `env.json`. Throws E_RUN_DAMAGED (damaged). */
  readJson(name: string): Promise<unknown>;
  /** All whole lines of a growing file; none when it is not there. Throws E_JSONL (damaged). */
  readLines(name: string): Promise<readonly JsonLine[]>;
  /** Steps that have a checkpoint, ascending. */
  checkpoints(): Promise<readonly number[]>;
  /** Everything wrong with a checkpoint; reads all its bytes. */
  verifyCheckpoint(step: number): Promise<readonly Damage[]>;
  /** The newest checkpoint whose every byte is as it was written. */
  newestSound(): Promise<NewestSound>;
  /** The newest checkpoint whose files are all there, of the size that was written: nothing but manifests is read. */
  newestWhole(): Promise<NewestSound>;
  /** Throws E_CHECKPOINT_UNKNOWN (not found) or E_CHECKPOINT_DAMAGED (damaged). */
  readCheckpoint(step: number): Promise<Checkpoint>;
}

/** Opens a run folder for reading. Throws E_RUN_UNKNOWN (not found) when `dir` is none. */
export async function readRun(dir: string): Promise<RunFolder> {
  const folder = runFolder(dir);
  if (!(await isRun(dir)))
    throw new UserError('E_RUN_UNKNOWN', EXIT.notFound, {
      message: 'there is no run in this folder',
      place: folder.dir,
      hint: 'openmoe runs lists those there are',
    });
  return folder;
}

export async function isRun(dir: string): Promise<boolean> {
  try {
    return (await stat(join(dir, 'run.json'))).isFile();
  } catch (error) {
    if (isUnreachable(error)) return false;
    throw error;
  }
}

export function runFolder(given: string): RunFolder {
  const dir = resolve(given);
  const path = (...names: readonly string[]): string => join(dir, ...names);
  const readJson = async (name: string): Promise<unknown> =>
    parseJson(await readFile(path(name), 'utf8').catch((e: unknown) => Promise.reject(unreadable(e, path(name)))), path(name));
  const folderOf = (step: number): string => path('checkpoints', checkpointFolder(step));
  return {
    id: basename(dir),
    dir,
    path,
    info: async () => corrected(dir, parseInfo(await readJson('run.json'), path('run.json'))),
    readJson,
    readLines: async (name) => parseGrowingJsonLines(await textOrNothing(path(name)), path(name)),
    checkpoints: () => checkpointSteps(path('checkpoints')),
    verifyCheckpoint: (step) => verify(folderOf(step), step),
    newestSound: () => newest(path('checkpoints'), verify),
    newestWhole: () => newest(path('checkpoints'), missing),
    async readCheckpoint(step) {
      const steps = await foldersOf(path('checkpoints'));
      if (!steps.includes(step)) throw unknownStep(step, steps, dir);
      return readCheckpoint(folderOf(step), step);
    },
  };
}

/** The newest checkpoint in which `check` finds no damage. */
async function newest(folder: string, check: typeof verify): Promise<NewestSound> {
  const skipped: NewestSound['skipped'][number][] = [];
  for (const step of (await foldersOf(folder)).toReversed()) {
    const damages = await check(join(folder, checkpointFolder(step)), step);
    if (damages.length === 0) return { step, skipped };
    skipped.push({ step, damages });
  }
  return { step: undefined, skipped };
}

export function unknownStep(step: number, steps: readonly number[], place: string): UserError {
  const near = steps
    .toSorted((a, b) => Math.abs(a - step) - Math.abs(b - step))
    .slice(0, 5)
    .sort((a, b) => a - b);
  const hint = near.length ? `nearest: ${near.join(', ')}` : 'the run has not saved any yet';
  return new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, { message: `there is no checkpoint of step ${step}`, place, hint });
}

const damaged = (place: string, message: string): UserError => new UserError('E_RUN_DAMAGED', EXIT.damaged, { message, place });
const unreadable = (error: unknown, place: string): unknown => (isMissing(error) ? damaged(place, 'the file is missing') : error);

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(place, `not JSON: ${(error as Error).message}`);
  }
}

async function textOrNothing(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

function parseInfo(value: unknown, place: string): RunInfo {
  const info = (typeof value === 'object' ? value : undefined) as Partial<RunInfo> | null | undefined;
  const isTime = (text: unknown): boolean => typeof text === 'string' && !Number.isNaN(Date.parse(text));
  if (info?.schema !== 'openmoe.run/1') throw damaged(place, 'not of schema openmoe.run/1');
  if (!STATES.includes(info.state!)) throw damaged(place, `unknown state ${JSON.stringify(info.state)}`);
  if (!isTime(info.created) || !isTime(info.updated)) throw damaged(place, 'created or updated is not a time');
  if (!Array.isArray(info.tags) || !info.tags.every((tag) => typeof tag === 'string')) throw damaged(place, 'tags are not a list of words');
  if (typeof info.detail !== 'object' || info.detail === null) throw damaged(place, 'detail is not an object');
  return info as RunInfo;
}

/** Seconds of silence after which a process that cannot be asked counts as dead; it writes its heartbeat every `HEARTBEAT_SECONDS`. */
const SILENCE_SECONDS = 60;
export const HEARTBEAT_SECONDS = 5;

async function corrected(dir: string, info: RunInfo): Promise<RunInfo> {
  if (info.state !== 'running' || (await isOwnerAlive(dir))) return info;
  return { ...info, state: 'crashed' };
}

async function isOwnerAlive(dir: string): Promise<boolean> {
  const owner = await ownerOf(join(dir, 'lock'));
  if (owner === undefined || owner === 'unreadable') return false;
  const life = liveness(owner);
  if (life !== 'unknown') return life === 'alive';
  const beat = await stat(join(dir, 'heartbeat')).catch(() => undefined);
  return beat !== undefined && Date.now() - beat.mtimeMs < SILENCE_SECONDS * 1000;
}

/** Names of the growing files that are there, relative to the run. */
export async function growingFiles(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir, { withFileTypes: true });
  const routing = await readdir(join(dir, 'routing')).catch(() => []);
  return [...names.filter((n) => n.isFile()).map((n) => n.name), ...routing.map((name) => join('routing', name))].filter((name) =>
    name.endsWith('.jsonl'),
  );
}
