/** What the trainers of pieces are given and give back. */
import { EXIT, UserError } from '../../base/index.ts';
import type { TrainerOptions } from './options.ts';

export interface ScoredPiece {
  /** ' ' for SentencePiece's ▁. */
  readonly text: string;
  /** Log-probability (Unigram), or minus the rank (BPE). */
  readonly score: number;
}

export interface PieceNeeds {
  readonly options: TrainerOptions;
  /** Pieces to find: the vocabulary without its meta pieces. */
  readonly most: number;
  readonly signal?: AbortSignal | undefined;
  /** Told of the number of pieces after each step. */
  readonly onProgress: (pieces: number) => void;
}

export const tooSmall = (characters: number, most: number): UserError =>
  new UserError('E_TOKENIZER_SIZE', EXIT.usage, {
    message: `the alphabet alone has ${characters} characters, and there is room for ${most} pieces`,
    hint: 'ask for a larger vocabulary, or for less character coverage',
  });
