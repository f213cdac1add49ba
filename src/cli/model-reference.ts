/** From what people type to a checkpoint's folder or file: a path, a run, or hf:org/name. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import { hubSettings, isHubReference, locate, parseHubReference } from '../hub/index.ts';
import { runsRoot } from './surroundings.ts';
import type { Terminal } from './terminal.ts';
import { referencedStep } from './trained.ts';
import { findRun, type RunFolder } from '../runs/index.ts';

export interface ModelReference {
  readonly kind: 'run' | 'folder' | 'file' | 'hub';
  /** Of the folder or the file of weights. */
  readonly path: string;
  readonly run?: RunFolder;
  readonly step?: number;
}

export const MODEL =
  'a run (last, its id or a part of it; @step or @best picks a checkpoint), a folder, a .safetensors or .bin file, or hf:org/name';

/** Throws UserErrors: E_RUN_UNKNOWN, E_NOT_CACHED, E_CHECKPOINT_UNKNOWN (not found), E_CHECKPOINT_DAMAGED, E_HUB_REFERENCE (usage). */
export async function findModel(ref: string, terminal: Terminal): Promise<ModelReference> {
  if (isHubReference(ref)) return { kind: 'hub', path: await locate(parseHubReference(ref), hubSettings(terminal.env)) };
  const found = await stat(ref).catch(() => undefined);
  if (found && !found.isDirectory()) return { kind: 'file', path: ref };
  const isRun = await stat(join(ref, 'run.json')).catch(() => undefined);
  if (found && !isRun && (ref.includes('/') || !(await isRunName(ref, terminal))))
    return { kind: 'folder', path: ref.replace(/(?<=.)\/+$/, '') };
  if (!found && /\/|\.(bin|safetensors|pt|pth)$/.test(ref) && !(await stat(ref.replace(/@[^@/]*$/, '')).catch(() => undefined)))
    throw new UserError('E_CHECKPOINT_UNKNOWN', EXIT.notFound, { message: 'there is no such file or folder', place: ref });
  const { run, step } = await referencedStep(ref, terminal, 'newestWhole');
  return { kind: 'run', path: (await run.readCheckpoint(step)).folder, run, step };
}

/** A folder of the current one may have the name of a run. */
const isRunName = (ref: string, { env }: Terminal): Promise<boolean> =>
  findRun(ref, runsRoot(env)).then(
    () => true,
    () => false,
  );
