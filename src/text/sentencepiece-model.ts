/** SentencePiece's `.model`: a protocol buffer of pieces, normalization and training options (sentencepiece_model.proto). */
import { EXIT, UserError } from '../base/index.ts';
import { type Field, fields } from './protobuf.ts';

/** Kinds of pieces, by their numbers in the file. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
export type PieceType = (typeof PIECE)[keyof typeof PIECE];

export interface Piece {
  readonly text: string;
  /** Log probability (Unigram), or minus the rank of the merge (BPE); an f32. */
  readonly score: number;
  readonly type: PieceType;
}

export interface NormalizerSpec {
  /** Length of a Darts double array, the array, and strings that end with a zero byte; empty: text stays as it is. */
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

export interface SentencePieceModel {
  readonly kind: 'unigram' | 'bpe';
  readonly pieces: readonly Piece[];
  readonly normalizer: NormalizerSpec;
  /** What is done to decoded text. */
  readonly denormalizer: NormalizerSpec | undefined;
  readonly byteFallback: boolean;
  readonly whitespaceAsSuffix: boolean;
  /** What `<unk>` decodes to. */
  readonly unkSurface: string;
  /** Names of the pieces with a role. */
  readonly names: { readonly bos: string; readonly eos: string; readonly pad: string };
}

const KINDS: Readonly<Record<number, string>> = { 1: 'unigram', 2: 'bpe', 3: 'word', 4: 'char' };
/** Space and U+2047 around: the standard of SentencePiece. */
const UNK_SURFACE = ' \u2047 ';

/** Throws UserError E_TOKENIZER (exit 4) when it is no such file, or one whose pieces contradict each other. */
export function readSentencePieceModel(file: Uint8Array): SentencePieceModel {
  try {
    return read(file);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw damaged(`not a SentencePiece model: ${error.message}`);
    throw error;
  }
}

export const damaged = (message: string, place = 'tokenizer'): UserError =>
  new UserError('E_TOKENIZER', EXIT.damaged, {
    message,
    place,
    hint: 'a SentencePiece .model (Unigram, BPE) or a Hugging Face tokenizer.json (Unigram, BPE) is expected',
  });

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const bytesOf = (field: Field): Uint8Array => {
  if (field.wire !== 'bytes') throw new TypeError(`field ${field.number} is not a string`);
  return field.value;
};
const textOf = (field: Field): string => utf8.decode(bytesOf(field));
const numberOf = (field: Field): number => {
  if (field.wire !== 'varint' && field.wire !== 'fixed32') throw new TypeError(`field ${field.number} is not a number`);
  return field.value;
};

function read(file: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = readTrainer(new Uint8Array(0));
  let normalizer = readNormalizer(new Uint8Array(0));
  let denormalizer: NormalizerSpec | undefined;
  for (const field of fields(file)) {
    if (field.number === 1) pieces.push(readPiece(bytesOf(field)));
    else if (field.number === 2) trainer = readTrainer(bytesOf(field));
    else if (field.number === 3) normalizer = readNormalizer(bytesOf(field));
    else if (field.number === 5) denormalizer = readNormalizer(bytesOf(field));
  }
  const { kind, ...rest } = trainer;
  const model = { pieces, normalizer, denormalizer, ...rest };
  if (kind !== 'unigram' && kind !== 'bpe') throw damaged(`models of kind ${kind} are not supported, only Unigram and BPE`);
  checkPieces(model);
  return { kind, ...model };
}

function readPiece(message: Uint8Array): Piece {
  let [text, score, type] = ['', 0, PIECE.normal as number];
  for (const field of fields(message)) {
    if (field.number === 1) text = textOf(field);
    else if (field.number === 2) score = numberOf(field);
    else if (field.number === 3) type = numberOf(field);
  }
  if (!Object.values<number>(PIECE).includes(type)) throw new TypeError(`${JSON.stringify(text)} is of kind ${type}`);
  if (Number.isNaN(score)) throw new TypeError(`the score of ${JSON.stringify(text)} is not a number`);
  return { text, score, type: type as PieceType };
}

function readTrainer(message: Uint8Array) {
  const names = { bos: '<s>', eos: '</s>', pad: '<pad>' };
  const spec = { kind: KINDS[1] as string, byteFallback: false, whitespaceAsSuffix: false, unkSurface: UNK_SURFACE, names };
  for (const field of fields(message)) {
    if (field.number === 3) spec.kind = KINDS[numberOf(field)] ?? `${numberOf(field)}`;
    else if (field.number === 24) spec.whitespaceAsSuffix = numberOf(field) !== 0;
    else if (field.number === 35) spec.byteFallback = numberOf(field) !== 0;
    else if (field.number === 44) spec.unkSurface = textOf(field);
    else if (field.number === 46) names.bos = textOf(field);
    else if (field.number === 47) names.eos = textOf(field);
    else if (field.number === 48) names.pad = textOf(field);
  }
  return spec;
}

function readNormalizer(message: Uint8Array): NormalizerSpec {
  const spec = { charsmap: new Uint8Array(0), addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true };
  for (const field of fields(message)) {
    if (field.number === 2) spec.charsmap = bytesOf(field).slice();
    else if (field.number === 3) spec.addDummyPrefix = numberOf(field) !== 0;
    else if (field.number === 4) spec.removeExtraWhitespaces = numberOf(field) !== 0;
    else if (field.number === 5) spec.escapeWhitespaces = numberOf(field) !== 0;
  }
  return spec;
}

/** Value of a byte piece's name, `<0x00>` … `<0xFF>`; undefined for other names. */
export function byteOfName(name: string): number | undefined {
  return /^<0x[0-9A-F]{2}>$/.test(name) ? parseInt(name.slice(3, 5), 16) : undefined;
}

/** What SentencePiece refuses, too. */
function checkPieces({ pieces, byteFallback }: Pick<SentencePieceModel, 'pieces' | 'byteFallback'>): void {
  const seen = { matched: new Set<string>(), reserved: new Set<string>() };
  const bytes = new Set<number>();
  for (const { text, type } of pieces) {
    if (text === '') throw damaged('a piece is empty');
    const names = isMatched(type) ? seen.matched : seen.reserved;
    if (names.has(text)) throw damaged(`${JSON.stringify(text)} is there twice`);
    names.add(text);
    if (type !== PIECE.byte) continue;
    const byte = byteOfName(text);
    if (byte === undefined || !byteFallback) throw damaged(`${JSON.stringify(text)} is not a byte of a model with byte fallback`);
    bytes.add(byte);
  }
  const unknown = pieces.filter((p) => p.type === PIECE.unknown).length;
  if (unknown !== 1) throw damaged(`${unknown} of ${pieces.length} pieces stand for unknown characters, not one`);
  if (byteFallback && bytes.size < 256) throw damaged(`${256 - bytes.size} of the 256 bytes have no piece`);
}

/** Pieces that are looked for in text; the others have names that no text can spell. */
export const isMatched = (type: PieceType): boolean => type === PIECE.normal || type === PIECE.userDefined || type === PIECE.unused;
