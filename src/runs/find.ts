/** From what people type to a run: `last`, an id, a part of one, a folder, each with `@step` or `@best`. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EXIT, nearest, parseCount, UserError } from '../base/index.ts';
import { isMissing, isUnreachable } from './disk.ts';
import { isRun, readRun, type RunFolder, type RunInfo, runFolder, unknownStep } from './folder.ts';
import { nameOf } from './name.ts';

export interface RunReference {
  readonly id: string;
  /** Absolute path. */
  readonly dir: string;
  /** The step asked for; undefined when none was, and the newest sound checkpoint is meant. */
  readonly step: number | undefined;
}

/**
 * The run that `ref` means, in `root` or as a path.
 * Throws E_RUN_UNKNOWN, E_CHECKPOINT_UNKNOWN (not found) with the nearest real ones, E_RUN_AMBIGUOUS (usage).
 */
export async function findRun(ref: string, root: string): Promise<RunReference> {
  if (ref.includes('/') && (await isRun(ref))) return reference(ref, undefined); // a folder may have an @ in its name
  const at = ref.lastIndexOf('@');
  const [name, step] = at > 0 ? [ref.slice(0, at), ref.slice(at + 1)] : [ref, undefined];
  return reference(await locate(name, root), step);
}

async function reference(dir: string, step: string | undefined): Promise<RunReference> {
  const run = runFolder(dir);
  return { id: run.id, dir: run.dir, step: step === undefined ? undefined : await stepOf(step, run) };
}

async function stepOf(text: string, run: RunFolder): Promise<number> {
  if (text === 'best') return bestStep(run);
  const [step, steps] = [parseCount(text, `step of ${run.id}@${text}`), await run.checkpoints()];
  if (!steps.includes(step)) throw unknownStep(step, steps, run.dir);
  return step;
}

/** The checkpoint with the least validation loss, by `{ kind: 'validation', step, loss }` in events.jsonl; the earlier of equals. */
async function bestStep(run: RunFolder): Promise<number> {
  const steps = new Set(await run.checkpoints());
  const losses = (await run.readLines('events.jsonl'))
    .map(({ value }) => value as { readonly kind?: unknown; readonly step?: unknown; readonly loss?: unknown } | null)
    .filter(
      (e): e is { kind: 'validation'; step: number; loss: number } =>
        e?.kind === 'validation' && steps.has(e.step as number) && Number.isFinite(e.loss),
    );
  if (losses.length > 0)
    return losses.reduce((best, e) => (e.loss < best.loss || (e.loss === best.loss && e.step < best.step) ? e : best)).step;
  throw new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, {
    message: 'no checkpoint has a validation loss',
    place: run.dir,
    hint: steps.size ? `name a step: ${[...steps].slice(-5).join(', ')}` : 'the run has not saved any yet',
  });
}

async function locate(name: string, root: string): Promise<string> {
  if (name.includes('/') || name === '.') return (await readRun(name)).dir;
  const ids = await runIds(root);
  if (name === 'last') return join(root, await newest(ids, root));
  if (ids.includes(name)) return join(root, name);
  const called = ids.filter((id) => nameOf(id) === name.toLowerCase()); // otter is not sea-otter
  const matches = called.length > 0 ? called : ids.filter((id) => id.includes(name.toLowerCase()));
  if (matches.length === 1) return join(root, matches[0]!);
  if (matches.length > 1 && name !== '')
    throw new UserError('E_RUN_AMBIGUOUS', EXIT.usage, {
      message: `${name} may be any of ${shown(matches)}`,
      place: resolve(root),
      hint: 'write more of the id',
    });
  if (await isRun(name)) return name; // a folder in the current one
  throw unknown(name, ids, root);
}

function unknown(name: string, ids: readonly string[], root: string): UserError {
  const near = nearest(name, [...ids, ...ids.map(nameOf)]);
  const hint = ids.length === 0 ? 'there is none yet' : near === undefined ? `known: ${shown(ids)}` : `did you mean ${near}?`;
  return new UserError('E_RUN_UNKNOWN', EXIT.notFound, { message: `there is no run ${name}`, place: resolve(root), hint });
}

const shown = (ids: readonly string[]): string =>
  ids.length > 8 ? `${ids.slice(-8).join(', ')} and ${ids.length - 8} more` : ids.join(', ');

async function newest(ids: readonly string[], root: string): Promise<string> {
  const runs = await listRuns(root);
  if (runs.length === 0) throw unknown('last', ids, root);
  return runs[0]!.id;
}

/** Names of the folders in `root` that are runs, ascending. */
async function runIds(root: string): Promise<readonly string[]> {
  try {
    const names = (await readdir(root)).sort();
    const runs = await Promise.all(names.map((name) => isRun(join(root, name))));
    return names.filter((_, i) => runs[i]);
  } catch (error) {
    if (isMissing(error)) return [];
    if (isUnreachable(error))
      throw new UserError('E_NOT_READABLE', EXIT.notFound, { message: 'the folder of runs cannot be read', place: resolve(root) });
    throw error;
  }
}

export interface RunSummary {
  readonly id: string;
  readonly dir: string;
  /** `damaged` when run.json cannot be read. */
  readonly state: RunInfo['state'] | 'damaged';
  /** Undefined when damaged. */
  readonly info: RunInfo | undefined;
  /** Of the newest checkpoint; undefined when there is none. */
  readonly step: number | undefined;
}

/** All runs in `root`, newest first; runs whose process has died are `crashed`. */
export async function listRuns(root: string): Promise<readonly RunSummary[]> {
  const runs = await Promise.all((await runIds(root)).map((id) => summary(join(root, id))));
  const created = ({ info }: RunSummary): number => (info ? Date.parse(info.created) : 0);
  return runs.sort((a, b) => created(b) - created(a) || (a.id < b.id ? 1 : -1));
}

async function summary(dir: string): Promise<RunSummary> {
  const run = runFolder(dir);
  const info = await run.info().catch((error: unknown) => {
    if (error instanceof UserError) return undefined;
    throw error;
  });
  return { id: run.id, dir: run.dir, state: info?.state ?? 'damaged', info, step: (await run.checkpoints()).at(-1) };
}
