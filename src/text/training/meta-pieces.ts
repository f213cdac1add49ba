/** The pieces that no training finds: unknown, begin, end, padding, control and user-defined symbols, bytes; and the ids they take. */
import { EXIT, UserError } from '../../base/index.ts';
import { PIECE, type PieceType } from '../sentencepiece-model.ts';
import type { TrainerOptions } from './options.ts';

export interface MetaPiece {
  readonly piece: string;
  readonly type: PieceType;
}

/** Name of a piece of one byte. */
export const bytePiece = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/**
 * Meta pieces by id. The four specials sit where the options say; others take the free ids from 0 on: control symbols, user-defined ones, bytes.
 * Throws UserError E_TOKENIZER_SYMBOL when two pieces are one, or an id is taken or beyond the vocabulary.
 */
export function metaPieces(options: TrainerOptions): ReadonlyMap<number, MetaPiece> {
  const pieces = new Map<number, MetaPiece>();
  const names = new Map<string, number>();
  const specials = [
    [options.unkPiece, options.unkId, 'unk'],
    [options.bosPiece, options.bosId, 'bos'],
    [options.eosPiece, options.eosId, 'eos'],
    [options.padPiece, options.padId, 'pad'],
  ] as const;
  for (const [piece, id, name] of specials) {
    if (id < 0 && name !== 'unk') continue;
    if (id < 0 || id >= options.vocabSize) throw wrong(`${name} has the id ${id}, beyond the vocabulary of ${options.vocabSize} pieces`);
    if (pieces.has(id)) throw wrong(`${name} and ${pieces.get(id)!.piece} have one id, ${id}`);
    if (piece === '' || names.has(piece)) throw wrong(`${name} is called ${JSON.stringify(piece)}: each piece needs a name of its own`);
    pieces.set(id, { piece, type: name === 'unk' ? PIECE.unknown : PIECE.control });
    names.set(piece, id);
  }
  let next = 0;
  const seen = new Set<string>();
  const add = (piece: string, type: PieceType): void => {
    if (piece === '' || seen.has(piece) || piece === options.unkPiece)
      throw wrong(`${JSON.stringify(piece)} cannot be a symbol: it is empty, or there twice`);
    seen.add(piece);
    // A symbol that names a special changes what that special is.
    const special = names.get(piece);
    while (special === undefined && pieces.has(next)) next++;
    pieces.set(special ?? next, { piece, type });
  };
  for (const symbol of options.controlSymbols) add(symbol, PIECE.control);
  for (const symbol of options.userDefinedSymbols) add(symbol, PIECE.userDefined);
  if (options.byteFallback) for (let b = 0; b < 256; b++) add(bytePiece(b), PIECE.byte);
  return pieces;
}

const wrong = (message: string): UserError => new UserError('E_TOKENIZER_SYMBOL', EXIT.usage, { message });
