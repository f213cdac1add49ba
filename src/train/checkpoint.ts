/** A training checkpoint: a Hugging Face folder plus optimizer state and what the data cursor is. */
import { jsonFile, modelFiles, type FolderFile, readModel, readTensors, readWeights, tensorFile } from '../checkpoints/index.ts';
import { EXIT, UserError } from '../base/index.ts';
import type { Checkpoint } from '../runs/index.ts';
import { loadTokenizer, type Tokenizer } from '../text/index.ts';
import type { Session, Snapshot } from './session.ts';
import type { Model } from './vocabulary.ts';

const OPTIMIZER = 'optimizer.safetensors';
const TRAINER = 'trainer.json';
const TOKENIZER = 'tokenizer.json';

/** Where training stands. All random numbers and the order of data are functions of `seed` and `step`; no clock value is kept. */
export interface Cursor {
  readonly step: number;
  readonly seed: number;
  /** Of the tokens trained on. */
  readonly dataHash: string;
}

export function checkpointFiles(model: Model, session: Session, tokenizer: Tokenizer, cursor: Cursor): FolderFile[] {
  const slots = [...session.slots].map(([name, shape]) => ({ name, shape }));
  return [
    ...modelFiles(model, session.read),
    jsonFile(TOKENIZER, tokenizer.toJSON()),
    jsonFile('tokenizer_config.json', {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<pad>',
      pad_token: '<pad>',
      eos_token: '</s>',
    }),
    { name: OPTIMIZER, chunks: tensorFile(slots, session.read) },
    jsonFile(TRAINER, { schema: 'openmoe.trainer/1', ...cursor }),
  ];
}

/** All training state of a checkpoint. Throws UserError E_CHECKPOINT_DAMAGED, E_WEIGHTS (exit 4). */
export async function readState(model: Model, session: Session, checkpoint: Checkpoint): Promise<Snapshot> {
  const parameters = await readWeights(model, checkpoint.read, checkpoint.folder);
  const expected = [...session.slots].map(([name, shape]) => ({ name, shape }));
  return { parameters, slots: readTensors(await checkpoint.read(OPTIMIZER), expected, `${checkpoint.folder}/${OPTIMIZER}`) };
}

/** Throws UserError E_DATA_CHANGED (exit 4) when the checkpoint was trained on other data, or with another seed. */
export async function checkCursor(checkpoint: Checkpoint, { seed, dataHash }: Omit<Cursor, 'step'>): Promise<void> {
  const cursor = JSON.parse(new TextDecoder().decode(await checkpoint.read(TRAINER))) as Cursor;
  const place = `${checkpoint.folder}/${TRAINER}`;
  if (cursor.dataHash !== dataHash)
    throw new UserError('E_DATA_CHANGED', EXIT.damaged, {
      message: `the data has changed: its hash is ${dataHash}, the checkpoint was trained on ${cursor.dataHash}`,
      place,
      hint: 'restore the data, or start another run',
    });
  if (cursor.seed !== seed)
    throw new UserError('E_DATA_CHANGED', EXIT.damaged, { message: `the checkpoint has seed ${cursor.seed}, the recipe ${seed}`, place });
}

/** What inference needs of a checkpoint: the model, its weights by path, its tokenizer. Throws UserErrors with exit 4. */
export async function readTrained(
  checkpoint: Checkpoint,
): Promise<{ model: Model; weights: Map<string, Float32Array>; tokenizer: Tokenizer }> {
  const model = await readModel(checkpoint.read, checkpoint.folder);
  const weights = await readWeights(model, checkpoint.read, checkpoint.folder);
  const tokenizer = loadTokenizer(JSON.parse(new TextDecoder().decode(await checkpoint.read(TOKENIZER))));
  return { model, weights, tokenizer };
}
