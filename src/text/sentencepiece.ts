/** A tokenizer over a SentencePiece model: the same ids and texts as the C++ library. */
import { META, META_LENGTH, Pieces } from './pieces.ts';
import { byteOfName, isMatched, PIECE, readSentencePieceModel, type SentencePieceModel } from './sentencepiece-model.ts';
import { sentencePieceJson } from './sentencepiece-json.ts';
import { sentencePieceNormalizer } from './sentencepiece-normalizer.ts';
import { sentencePieceSegmenter, unknownOf, userDefined } from './sentencepiece-segment.ts';
import { readable } from './readable.ts';
import type { Encoding, StreamDecoder, Tokenizer } from './tokenizer.ts';
import { characterDecoder } from './utf8.ts';

const encoder = new TextEncoder();
const NO_BYTES = new Uint8Array(0);
const MARK = '\u2581';

/** Throws UserError E_TOKENIZER when the file is no SentencePiece model. */
export const loadSentencePiece = (file: Uint8Array): Tokenizer => sentencePiece(readSentencePieceModel(file));

export function sentencePiece(model: SentencePieceModel): Tokenizer {
  const { pieces, names } = model;
  const encode = textEncoder(model);
  const idOf = (name: string): number | undefined => {
    const id = pieces.findIndex((p) => p.text === name && p.type === PIECE.control);
    return id < 0 ? undefined : id;
  };
  const pad = idOf(names.pad);
  const bytesOf = (id: number): Uint8Array => {
    const piece = pieces[id];
    if (!piece) return NO_BYTES;
    if (piece.type === PIECE.byte) return Uint8Array.of(byteOfName(piece.text)!);
    return isMatched(piece.type) ? encoder.encode(piece.text.replaceAll(MARK, ' ')) : NO_BYTES;
  };
  const restore = denormalizer(model);
  return {
    vocabSize: pieces.length,
    // T5 begins with its padding.
    bos: idOf(names.bos) ?? pad,
    eos: idOf(names.eos),
    template: { before: [], after: [] },
    encode: (text) => encode(text, false).ids,
    encodeWithOffsets: (text) => encode(text, true),
    decode(ids) {
      const decoder = pieceDecoder(model);
      let text = '';
      for (const id of ids) text += decoder.push(id);
      return restore(text + decoder.flush());
    },
    pieceOf: (id) => (pieces[id] && !isMatched(pieces[id].type) ? pieces[id].text : readable(bytesOf(id))),
    bytesOf,
    streamDecoder: () => pieceDecoder(model),
    toJSON: () => sentencePieceJson(model),
  };
}

/** Text → ids; offsets are left empty unless asked for. */
function textEncoder(model: SentencePieceModel): (text: string, offsets: boolean) => Encoding {
  const { normalizer: spec, whitespaceAsSuffix, pieces, byteFallback } = model;
  const verbatim = userDefined(model, (text) => encoder.encode(text));
  const normalize = sentencePieceNormalizer({ spec, whitespaceAsSuffix, verbatim });
  const { segment } = sentencePieceSegmenter(model);
  const unknown = unknownOf(model);
  const byteIds = new Map(pieces.flatMap((p, id) => (p.type === PIECE.byte ? [[byteOfName(p.text)!, id] as const] : [])));
  const found = new Pieces();
  let source = new Uint8Array(3072);
  return (text, wanted) => {
    if (source.length < 3 * text.length) source = new Uint8Array(6 * text.length);
    const { bytes, length, origin } = normalize(source, encoder.encodeInto(text, source).written, wanted);
    found.count = 0;
    segment(bytes, 0, length, found);
    const known = wanted ? undefined : knownIds(found, unknown);
    if (known) return { ids: known, offsets: [] };
    const ids: number[] = [];
    const offsets: [number, number][] = [];
    for (let i = 0, from = 0; i < found.count; from = found.ends[i++]!) {
      const [id, to] = [found.ids[i]!, found.ends[i]!];
      if (id === unknown && byteFallback) spellOut(bytes, from, to, wanted ? origin : undefined, byteIds, ids, offsets);
      else if (id === unknown && i > 0 && found.ids[i - 1] === unknown) {
        // Unknown characters in a row are one token.
        if (wanted) offsets.at(-1)![1] = origin[to]!;
      } else {
        ids.push(id);
        if (wanted) offsets.push([origin[from]!, pieces[id]!.type === PIECE.control ? origin[from]! : origin[to]!]);
      }
    }
    return { ids, offsets };
  };
}

/** The ids, where no character is unknown: an array of the right length at once. */
function knownIds({ ids, count }: Pieces, unknown: number): number[] | undefined {
  const known = new Array<number>(count);
  for (let i = 0; i < count; i++) {
    if (ids[i] === unknown) return undefined;
    known[i] = ids[i]!;
  }
  return known;
}

/** An unknown character as its bytes; the last one has its place in the text. */
function spellOut(
  bytes: Uint8Array,
  from: number,
  to: number,
  origin: Int32Array | undefined,
  byteIds: ReadonlyMap<number, number>,
  ids: number[],
  offsets: [number, number][],
): void {
  for (let i = from; i < to; i++) {
    const spelt = bytes[i] === META ? encoder.encode(MARK) : bytes.subarray(i, i + 1);
    for (const byte of spelt) {
      ids.push(byteIds.get(byte)!);
      if (origin) offsets.push([origin[from]!, origin[from]!]);
    }
  }
  if (origin) offsets.at(-1)![1] = origin[to]!;
}

/** What is done to a whole text after decoding. */
function denormalizer({ denormalizer: spec }: SentencePieceModel): (text: string) => string {
  if (!spec || spec.charsmap.length === 0) return (text) => text;
  const normalize = sentencePieceNormalizer({ spec, whitespaceAsSuffix: false, verbatim: undefined });
  return (text) => {
    const source = encoder.encode(text);
    const { bytes, length } = normalize(source, source.length, false);
    const mark = encoder.encode(MARK);
    const spelt = new Uint8Array(META_LENGTH * length);
    let to = 0;
    for (let i = 0; i < length; i++) {
      if (bytes[i] === META) spelt.set(mark, (to += META_LENGTH) - META_LENGTH);
      else spelt[to++] = bytes[i]!;
    }
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(spelt.subarray(0, to));
  };
}

/** Pieces → text as they come. The mark of the first word goes where normalization put it there. */
function pieceDecoder({ pieces, normalizer, unkSurface }: SentencePieceModel): StreamDecoder {
  const characters = characterDecoder();
  const stripped = normalizer.addDummyPrefix || normalizer.removeExtraWhitespaces;
  // Whether a mark would still be the first; whether one was taken away.
  let [atStart, taken, empty] = [true, false, true];
  const seen = (text: string): string => {
    if (text !== '') empty = false;
    return text;
  };
  const surface = (text: string): string => {
    if (!atStart || !stripped || !text.startsWith(MARK)) return text.replaceAll(MARK, ' ');
    taken = !normalizer.removeExtraWhitespaces;
    return text.slice(MARK.length).replaceAll(MARK, ' ');
  };
  return {
    push(id) {
      const piece = pieces[id];
      if (!piece) return '';
      if (piece.type === PIECE.byte) return seen(characters.push(byteOfName(piece.text)!));
      const before = seen(characters.flush());
      if (taken || !empty) atStart = false;
      taken = false;
      if (piece.type === PIECE.control) return before;
      return before + seen(piece.type === PIECE.unknown ? unkSurface : surface(piece.text));
    },
    flush: () => characters.flush(),
  };
}
