/** Writing of SentencePiece's `.model`: a protocol buffer (sentencepiece_model.proto). */
import { concat } from '../base/index.ts';
import { PIECE, type Piece, type SentencePieceModel } from './sentencepiece-model.ts';
import type { TrainerOptions } from './training/options.ts';

/** The file of a model; `options` are what it was trained with, which other programs may want to read. */
export function writeSentencePieceModel(model: SentencePieceModel, options: TrainerOptions): Uint8Array {
  const { normalizer } = model;
  return concat([
    ...model.pieces.map((piece) => message(1, pieceFields(piece))),
    message(2, trainerFields(model, options)),
    message(3, [
      string(1, options.normalizationRuleName),
      bytes(2, normalizer.charsmap),
      flag(3, normalizer.addDummyPrefix),
      flag(4, normalizer.removeExtraWhitespaces),
      flag(5, normalizer.escapeWhitespaces),
    ]),
  ]);
}

const pieceFields = ({ text, score, type }: Piece): Uint8Array[] => [
  string(1, text),
  float(2, score),
  ...(type === PIECE.normal ? [] : [number(3, type)]),
];

const KINDS = { unigram: 1, bpe: 2 } as const;

const trainerFields = (model: SentencePieceModel, options: TrainerOptions): Uint8Array[] => [
  number(3, KINDS[model.kind]),
  number(4, model.pieces.length),
  float(10, options.characterCoverage),
  number(14, options.seedSentencepieceSize),
  float(15, options.shrinkingFactor),
  number(17, options.numSubIterations),
  number(18, options.maxSentenceLength),
  number(20, options.maxSentencepieceLength),
  flag(21, options.splitByUnicodeScript),
  flag(22, options.splitByWhitespace),
  flag(23, options.splitByNumber),
  flag(24, options.treatWhitespaceAsSuffix),
  flag(25, options.splitDigits),
  flag(26, options.allowWhitespaceOnlyPieces),
  ...options.controlSymbols.map((symbol) => string(30, symbol)),
  ...options.userDefinedSymbols.map((symbol) => string(31, symbol)),
  flag(33, options.hardVocabLimit),
  flag(35, options.byteFallback),
  string(36, options.requiredChars),
  number(40, options.unkId),
  number(41, options.bosId),
  number(42, options.eosId),
  number(43, options.padId),
  string(44, options.unkSurface),
  string(45, options.unkPiece),
  string(46, options.bosPiece),
  string(47, options.eosPiece),
  string(48, options.padPiece),
];

const encoder = new TextEncoder();
/** Wire types. */
const [VARINT, BYTES, FIXED32] = [0, 2, 5] as const;

/** Seven bits a byte, least first; a negative number as 64 bits of two's complement. */
function varint(value: number): number[] {
  const out: number[] = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 0x80n) return [...out, Number(rest)];
    out.push(Number(rest & 0x7fn) | 0x80);
  }
}

const tag = (field: number, wire: number): number[] => varint(field * 8 + wire);
const number = (field: number, value: number): Uint8Array => Uint8Array.from([...tag(field, VARINT), ...varint(value)]);
const flag = (field: number, value: boolean): Uint8Array => number(field, Number(value));
const bytes = (field: number, value: Uint8Array): Uint8Array =>
  concat([Uint8Array.from([...tag(field, BYTES), ...varint(value.length)]), value]);
const string = (field: number, value: string): Uint8Array => bytes(field, encoder.encode(value));
const message = (field: number, fields: readonly Uint8Array[]): Uint8Array => bytes(field, concat(fields));

function float(field: number, value: number): Uint8Array {
  const four = new Uint8Array(4);
  new DataView(four.buffer).setFloat32(0, value, true);
  return concat([Uint8Array.from(tag(field, FIXED32)), four]);
}
