/** A SentencePiece model as Hugging Face's tokenizer.json, which the official `tokenizers` reads. */
import { EXIT, UserError } from '../base/index.ts';
import { PIECE, type SentencePieceModel } from './sentencepiece-model.ts';

const MARK = '\u2581';
/** Kinds of pieces that are looked for as a whole, before the model sees a text. */
const ADDED: readonly number[] = [PIECE.unknown, PIECE.control, PIECE.userDefined];

/**
 * Equal to the model in what any text without added tokens is encoded to; a control symbol in a text is that token here, and only characters there.
 * Throws UserError E_TOKENIZER_FORM for models that this form cannot express.
 */
export function sentencePieceJson(model: SentencePieceModel): object {
  const { pieces, normalizer } = model;
  if (model.whitespaceAsSuffix || !normalizer.escapeWhitespaces)
    throw new UserError('E_TOKENIZER_FORM', EXIT.usage, {
      message: 'tokenizer.json has no words that end with their blank',
      hint: 'write a .model instead',
    });
  const added = pieces.flatMap(({ text, type }, id) => (ADDED.includes(type) ? [addedToken(id, text, type !== PIECE.userDefined)] : []));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: 'Sequence', normalizers: normalizers(model) },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Sequence', decoders: decoders(model) },
    model: model.kind === 'unigram' ? unigramJson(model) : bpeJson(model),
  };
}

const addedToken = (id: number, content: string, special: boolean) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});

function normalizers({ normalizer }: SentencePieceModel): object[] {
  const replace = (pattern: object, content: string) => ({ type: 'Replace', pattern, content });
  return [
    ...(normalizer.charsmap.length > 0 ? [{ type: 'Precompiled', precompiled_charsmap: base64(normalizer.charsmap) }] : []),
    ...(normalizer.removeExtraWhitespaces ? [replace({ Regex: `^[ ${MARK}]+|[ ${MARK}]+$` }, ''), replace({ Regex: ' {2,}' }, ' ')] : []),
    ...(normalizer.addDummyPrefix ? [{ type: 'Prepend', prepend: MARK }] : []),
    replace({ String: ' ' }, MARK),
  ];
}

function decoders({ normalizer, byteFallback }: SentencePieceModel): object[] {
  const strip = normalizer.addDummyPrefix || normalizer.removeExtraWhitespaces;
  return [
    { type: 'Replace', pattern: { String: MARK }, content: ' ' },
    ...(byteFallback ? [{ type: 'ByteFallback' }] : []),
    { type: 'Fuse' },
    ...(strip ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ];
}

function unigramJson({ pieces, byteFallback }: SentencePieceModel) {
  return {
    type: 'Unigram',
    unk_id: pieces.findIndex(({ type }) => type === PIECE.unknown),
    vocab: pieces.map(({ text, score }) => [text, score] as const),
    byte_fallback: byteFallback,
  };
}

function bpeJson({ pieces, byteFallback }: SentencePieceModel) {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: pieces.find(({ type }) => type === PIECE.unknown)!.text,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges: mergesOf(pieces),
  };
}

/** Every way to put a piece together from two others, best pieces first. */
function mergesOf(pieces: SentencePieceModel['pieces']): (readonly [string, string])[] {
  const normal = pieces.filter(({ type }) => type === PIECE.normal);
  const scoreOf = new Map(normal.map(({ text, score }) => [text, score]));
  return normal
    .toSorted((a, b) => b.score - a.score)
    .flatMap(({ text }) => {
      const characters = Array.from(text);
      const cuts = characters.slice(1).map((_, i) => [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')] as const);
      return cuts.filter(([left, right]) => scoreOf.has(left) && scoreOf.has(right));
    });
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
