/** A model reference opened to read text or ids: a run, a folder or a file of weights, with its tokenizer where it has one. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import { type Checkpoint, diskFiles, openCheckpoint } from '../checkpoints/index.ts';
import {
  type Dialect,
  FAMILIES,
  type Family,
  loadWeights,
  type MachineExecutor,
  type Model,
  openExecutor,
  type Weights,
  type WeightType,
} from '../infer/index.ts';
import type { RunFolder } from '../runs/index.ts';
import { loadSentencePiece, loadTokenizer, loadUmt5, type Tokenizer } from '../text/index.ts';
import { findModel } from './model-reference.ts';
import type { Terminal } from './terminal.ts';
import { chosenThreads } from './surroundings.ts';

export interface ReadingModel {
  /** Of the folder or file. */
  readonly place: string;
  readonly run: RunFolder | undefined;
  readonly step: number | undefined;
  readonly model: Model;
  /** Undefined where no file of a tokenizer stands beside the weights. */
  readonly tokenizer: Tokenizer | undefined;
  readonly weights: Weights;
  readonly executor: MachineExecutor;
}

export interface ReadingFlags {
  readonly threads: number | undefined;
  readonly dtype: WeightType;
  /** How tokens are grouped, where the checkpoint's own way is not wanted. */
  readonly dialect: Dialect | undefined;
}

/**
 * Weights are mapped where they can be, brought to `dtype`, and not compared with their hash, which takes longer than reading a prompt.
 * Throws UserErrors: unknown reference (3), damaged checkpoint or a tokenizer that does not fit (4), no engine (3), no memory (5).
 */
export async function openForReading(ref: string, terminal: Terminal, { threads, dtype, dialect }: ReadingFlags): Promise<ReadingModel> {
  const executor = openExecutor({ threads: chosenThreads(threads, terminal.env).count });
  const { path, run, step } = await findModel(ref, terminal);
  const checkpoint = await openCheckpoint(path, diskFiles());
  try {
    const { model: stored } = checkpoint;
    const model = dialect ? FAMILIES[stored.family as Family]({ ...stored.config, dialect }) : stored;
    const tokenizer = await tokenizerBeside(checkpoint);
    const weights = await loadWeights(model, executor, checkpoint, dtype);
    return { place: path, run, step, model, tokenizer, weights, executor };
  } finally {
    await checkpoint.close();
  }
}

const read = (path: string): Promise<Buffer | undefined> => readFile(path).catch(() => undefined);

/**
 * tokenizer.json, else a SentencePiece model; one with the rows of umT5's table has its conventions.
 * Throws UserErrors E_TOKENIZER_FIT and those of damaged tokenizers (exit 4).
 */
export async function tokenizerBeside({ folder, model }: Checkpoint): Promise<Tokenizer | undefined> {
  const { vocab } = model.config;
  const json = await read(join(folder, 'tokenizer.json'));
  if (json) return fitting(loadTokenizer(JSON.parse(json.toString('utf8'))), vocab, `${folder}/tokenizer.json`);
  for (const name of ['spiece.model', 'tokenizer.model']) {
    const file = await read(join(folder, name));
    if (!file) continue;
    const umt5 = loadUmt5(new Uint8Array(file));
    return fitting(umt5.tableRows === vocab ? umt5 : loadSentencePiece(new Uint8Array(file)), vocab, `${folder}/${name}`);
  }
  return undefined;
}

function fitting(tokenizer: Tokenizer, vocab: number, place: string): Tokenizer {
  if (tokenizer.vocabSize <= vocab) return tokenizer;
  throw new UserError('E_TOKENIZER_FIT', EXIT.damaged, {
    message: `the tokenizer has ${tokenizer.vocabSize} pieces, the embedding ${vocab} rows`,
    place,
    hint: 'the tokenizer belongs to another model',
  });
}
