/** A tokenizer out of the parts of a tokenizer.json: the same ids, offsets and texts as the official `tokenizers`. */
import { unspell } from '../alphabet.ts';
import { damaged } from '../sentencepiece-model.ts';
import { readable } from '../readable.ts';
import type { Encoding, StreamDecoder, Template, Tokenizer } from '../tokenizer.ts';
import { type Added, addedTokens, type Part, splitter } from './added.ts';
import { aligned, type Aligned, type Tracking } from './aligned.ts';
import { byteNamed, decoderOf } from './decoders.ts';
import { bpeModel, type Model, type Tokens, unigramModel } from './models.ts';
import { followingStart, normalizerOf } from './normalizers.ts';
import { marksFirst, preTokenizerOf, stagesOf, type Words, wholeText } from './pre-tokenizers.ts';
import type { DecoderJson, ProcessorJson, TokenizerFile } from './schema.ts';
import { trimmer } from './trim.ts';
import { wordIds } from './word-ids.ts';
import { type WordBytes, wordWriter } from './words-to-bytes.ts';

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();
const [BOS, EOS] = [
  ['<s>', '<bos>', '<|begin_of_text|>', '<|startoftext|>', '<pad>'],
  ['</s>', '<eos>', '<|endoftext|>', '<|end_of_text|>', '<|im_end|>'],
];

export interface PipelineOptions {
  /** Special tokens in a text are only characters. */
  readonly specialsAsText: boolean;
}

export function pipelineTokenizer(file: TokenizerFile, { specialsAsText }: PipelineOptions): Omit<Tokenizer, 'toJSON'> {
  const model = file.model.type === 'BPE' ? bpeModel(file.model) : unigramModel(file.model);
  const normalize = file.normalizer ? normalizerOf(file.normalizer) : (source: Aligned) => source;
  const added = addedTokens(
    file.added_tokens,
    { size: model.size, idOf: (text) => model.ids.get(text) },
    (text) => normalize(aligned(text, 'none')).text,
  );
  const names = new Map([...model.names, ...added.map((a) => [a.id, a.pattern] as const)]);
  const specials = new Set(added.filter((a) => a.token.special).map((a) => a.id));
  const encode = textEncoder(
    file,
    model,
    added.filter((a) => !specialsAsText || !a.token.special),
    normalize,
  );
  const bytesOf = pieceBytes(file.decoder ?? undefined, names, specials);
  const template = templateOf(file.post_processor ?? undefined);
  const decode = file.decoder ? decoderOf(file.decoder) : (tokens: readonly string[]) => [tokens.join(' ')];
  const decodeAll = (ids: Iterable<number>): string => {
    const tokens: string[] = [];
    for (const id of ids) if (names.has(id) && !specials.has(id)) tokens.push(names.get(id)!);
    return tokens.length === 0 ? '' : decode(tokens).join('');
  };
  const named = (candidates: readonly string[]): number | undefined =>
    candidates.map((name) => added.find((a) => a.token.special && a.token.content === name)?.id).find((id) => id !== undefined);
  return {
    vocabSize: [...names.keys()].reduce((most, id) => Math.max(most, id + 1), 0),
    bos: template.before[0] ?? named(BOS!),
    eos: template.after.at(-1) ?? named(EOS!),
    template,
    encode: (text) => encode(text, false).ids,
    encodeWithOffsets: (text) => encode(text, true),
    decode: decodeAll,
    pieceOf: (id) => (specials.has(id) ? names.get(id)! : readable(bytesOf(id))),
    bytesOf,
    // Bytes belong to those around them, and what is skipped is no first word.
    streamDecoder: () => windowDecoder(decodeAll, (id) => names.has(id) && !specials.has(id) && byteNamed(names.get(id)!) === undefined),
  };
}

/** Each lone surrogate as U+FFFD. */
const wellFormed = (text: string): string => (/[\uD800-\uDFFF]/.test(text) ? text.replaceAll(/\p{Cs}/gu, '\uFFFD') : text);

type Encode = (text: string, offsets: boolean) => Encoding;

function textEncoder(file: TokenizerFile, model: Model, added: readonly Added[], normalize: (source: Aligned) => Aligned): Encode {
  const splitRaw = splitter(added.filter((a) => !a.token.normalized));
  const splitNormalized = splitter(added.filter((a) => a.token.normalized));
  const preTokenize = file.pre_tokenizer ? preTokenizerOf(file.pre_tokenizer) : wholeText;
  const write = wordWriter(model.squeezed);
  const trim = trimmer(file.post_processor ?? undefined, model.names);
  const idsOf = wordIds(stagesOf(file.pre_tokenizer ?? undefined), model);
  // Whether a word is the first of the text is known by its place in the source.
  const least: Tracking = file.pre_tokenizer && marksFirst(file.pre_tokenizer) ? 'start' : 'none';
  const normalizer = followingStart(file.normalizer ?? undefined, normalize);
  const parts = (text: string, tracking: Tracking): Part[] =>
    splitRaw(aligned(text, tracking)).flatMap((part) => (part.added ? part : splitNormalized(normalizer(part.source))));
  const bare = (text: string): Encoding => {
    const ids: number[] = [];
    for (const { source, added: token } of parts(text, least)) {
      if (token) ids.push(token.id);
      else if (source.text !== '') idsOf(source, ids);
    }
    return { ids, offsets: [] };
  };
  const placed = (text: string): Encoding => {
    const tokens: Tokens = { ids: [], starts: [], ends: [] };
    const offsets: [number, number][] = [];
    for (const { source, added: token } of parts(text, 'all')) {
      if (source.text === '') continue;
      if (token) {
        tokens.ids.push(token.id);
        offsets.push(trim(source.text, [source.starts![0]!, source.ends!.at(-1)!], offsets.length));
        continue;
      }
      for (const words of preTokenize(source)) {
        const written = write(words);
        tokens.starts.length = tokens.ends.length = 0;
        const first = tokens.ids.length;
        for (let i = 0; i < words.cuts.length; i += 2) model.encode(written.bytes, written.cuts[i]!, written.cuts[i + 1]!, tokens);
        place(tokens, first, words, written, (id, range) => offsets.push(trim(id, range, offsets.length)));
      }
    }
    return { ids: tokens.ids, offsets };
  };
  return (text, wanted) => (wanted ? placed : bare)(wellFormed(text));
}

/** Where in the source the tokens from `first` on are. */
function place(
  { ids, starts, ends }: Tokens,
  first: number,
  { source }: Words,
  { points }: WordBytes,
  put: (id: number, range: [number, number]) => void,
): void {
  for (let i = 0; i < starts.length; i++)
    put(ids[first + i]!, [source.starts![points[starts[i]!]!]!, source.ends![points[ends[i]! - 1]!]!]);
}

/** What a post-processor puts around a text. */
function templateOf(json: ProcessorJson | undefined): Template {
  const none = { before: [], after: [] };
  if (!json || json.type === 'ByteLevel') return none;
  if (json.type === 'Sequence') {
    return json.processors
      .map(templateOf)
      .reduce((a, b) => ({ before: [...b.before, ...a.before], after: [...a.after, ...b.after] }), none);
  }
  if (json.type !== 'TemplateProcessing') return { before: [json.cls[1]], after: [json.sep[1]] };
  const at = json.single.findIndex((piece) => 'Sequence' in piece);
  const idsOf = (pieces: typeof json.single): number[] =>
    pieces.flatMap((piece) => {
      const special = 'SpecialToken' in piece ? json.special_tokens[piece.SpecialToken.id] : undefined;
      if (!special) throw damaged(`post_processor: ${JSON.stringify(piece)} is not understood`, 'tokenizer.json');
      return special.ids;
    });
  return { before: idsOf(json.single.slice(0, Math.max(at, 0))), after: idsOf(json.single.slice(at + 1)) };
}

/** What a piece stands for, by the decoder that the file names. */
function pieceBytes(decoder: DecoderJson | undefined, names: ReadonlyMap<number, string>, specials: ReadonlySet<number>) {
  const all = decoder ? flat(decoder) : [];
  const has = (type: DecoderJson['type']): boolean => all.some((d) => d.type === type);
  const [spelt, fallback] = [has('ByteLevel'), has('ByteFallback')];
  return (id: number): Uint8Array => {
    const name = names.get(id);
    if (name === undefined || specials.has(id)) return NO_BYTES;
    const bytes = spelt ? unspell(name) : undefined;
    const byte = fallback ? byteNamed(name) : undefined;
    if (bytes ?? byte !== undefined) return bytes ?? Uint8Array.of(byte!);
    return encoder.encode(spelt ? name : name.replaceAll('\u2581', ' '));
  };
}

const flat = (json: DecoderJson): DecoderJson[] => (json.type === 'Sequence' ? json.decoders.flatMap(flat) : [json]);

/**
 * Decodes the last few ids again with each new one, and gives what is new: no decoder needs to know of streams.
 * `isAnchor`: whether what follows an id decodes as it would behind all ids before, too.
 */
function windowDecoder(decode: (ids: Iterable<number>) => string, isAnchor: (id: number) => boolean): StreamDecoder {
  let ids: number[] = [];
  let given = '';
  const take = (text: string): string => {
    const fresh = text.slice(given.length);
    ids = ids.slice(Math.max(0, ids.findLastIndex(isAnchor)));
    given = decode(ids);
    return fresh;
  };
  return {
    push(id) {
      ids.push(id);
      const text = decode(ids);
      return text.length > given.length && !text.endsWith('\uFFFD') ? take(text) : '';
    },
    flush: () => take(decode(ids)),
  };
}
