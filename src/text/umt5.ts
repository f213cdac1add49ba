/** The tokenizer of OpenMoE: umT5's SentencePiece model and, behind it, sentinels in reverse order (reference 6.2). */
import { PIECE, type Piece, readSentencePieceModel } from './sentencepiece-model.ts';
import { sentencePiece } from './sentencepiece.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Sentinels that OpenMoE was trained with: a row of text masked at μ = 3, r = 0.5 needs 256. */
const EXTRA_IDS = 300;
/** Tables have a multiple of so many rows: 256,300 pieces, 256,384 rows. */
const ROWS = 128;
/** `<pad>`, also the beginning of each sequence. */
const PAD = 0;

export interface Umt5 extends Tokenizer {
  /** Rows of embedding and output tables; those beyond the vocabulary were never trained. */
  readonly tableRows: number;
  /** Id of `<extra_id_k>`: the last id for k = 0, one less for each further k. */
  sentinel(k: number): number;
}

/** Throws UserError E_TOKENIZER when the file is no SentencePiece model. */
export function loadUmt5(file: Uint8Array, { extraIds = EXTRA_IDS }: { readonly extraIds?: number } = {}): Umt5 {
  const model = readSentencePieceModel(file);
  // The mark belongs to the piece: `every<extra_id_0>ly` holds no sentinel.
  const sentinels = Array.from({ length: extraIds }, (_, i): Piece => {
    return { text: `\u2581<extra_id_${extraIds - 1 - i}>`, score: 0, type: PIECE.userDefined };
  });
  const pieces = [...model.pieces, ...sentinels];
  return {
    ...sentencePiece({ ...model, pieces }),
    bos: PAD,
    tableRows: Math.ceil(pieces.length / ROWS) * ROWS,
    sentinel: (k) => pieces.length - 1 - k,
  };
}
