/** A model reference opened for verbs that look at weights: with its model where there is a config.json, else as bare tensors. */
import {
  type Checkpoint,
  CONFIG,
  diskFiles,
  type Files,
  type NamedSource,
  openCheckpoint,
  openTensors,
  releasedTensors,
  storedAs,
  type TensorFacts,
  type TensorFiles,
} from '../checkpoints/index.ts';
import { findModel, type ModelReference } from './model-reference.ts';
import type { Terminal } from './terminal.ts';

export interface OpenedModel extends ModelReference {
  readonly files: Files;
  readonly found: Pick<TensorFiles, 'format' | 'place' | 'shards'>;
  /** Undefined where no config.json says what the tensors are. */
  readonly checkpoint: Checkpoint | undefined;
  /** Under the released names where there is a model, else as they are stored. */
  tensors(): readonly NamedSource[];
  stored(): readonly NamedSource[];
  /** Element type and shape of each stored tensor; scales of bytes are not among them. */
  types(): readonly Pick<TensorFacts, 'dtype' | 'shape'>[];
}

/** Throws what `findModel` and `openCheckpoint` throw. Files are to be closed. */
export async function openModel(ref: string, terminal: Terminal): Promise<OpenedModel> {
  const reference = await findModel(ref, terminal);
  const files = diskFiles();
  const folder = reference.kind === 'file' ? parent(reference.path) : reference.path;
  if ((await files.list(folder))?.includes(CONFIG)) {
    const checkpoint = await openCheckpoint(reference.path, files);
    return {
      ...reference,
      files,
      found: checkpoint,
      checkpoint,
      tensors: () => releasedTensors(checkpoint),
      stored: () => storedAs(checkpoint.stored),
      types: () => [...checkpoint.tensors.values()],
    };
  }
  try {
    const found = await openTensors(reference.path, files);
    return {
      ...reference,
      files,
      found,
      checkpoint: undefined,
      tensors: () => storedAs(found.tensors),
      stored: () => storedAs(found.tensors),
      types: () => [...found.tensors.values()].map((t) => t.view),
    };
  } catch (error) {
    await files.close();
    throw error;
  }
}

const parent = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) || '/' : '.');
