/** Models of tokenizer.json over the bytes of a word: byte-pair encoding and Unigram. */
import { type Merge, merger } from '../bpe.ts';
import { characters, codePointAt, lengthAt, Symbols } from '../characters.ts';
import { META, Pieces, squeezed } from '../pieces.ts';
import { damaged } from '../sentencepiece-model.ts';
import { buildTrie, lookUp } from '../trie.ts';
import { unigram } from '../unigram.ts';
import type { BpeJson, UnigramJson } from './schema.ts';

/** Tokens: ids, and the bytes of the text that each stands for. */
export interface Tokens {
  readonly ids: number[];
  readonly starts: number[];
  readonly ends: number[];
}

export interface Model {
  /** Appends the tokens of the word `bytes[from, to)`. */
  encode(bytes: Uint8Array, from: number, to: number, out: Tokens): void;
  /** Names by id. */
  readonly names: ReadonlyMap<number, string>;
  readonly ids: ReadonlyMap<string, number>;
  /** Pieces that the file lists. */
  readonly size: number;
  /** Whether the bytes have ▁ as one. */
  readonly squeezed: boolean;
}

const UNKNOWN_PENALTY = 10;
const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');
const encoder = new TextEncoder();

/** Ids of `<0x00>` … `<0xFF>`, −1 where one is missing. */
const bytePieces = (ids: ReadonlyMap<string, number>): Int32Array =>
  Int32Array.from({ length: 256 }, (_, b) => ids.get(`<0x${hex(b)}>`) ?? -1);

/** Bytes of UTF-8 of squeezed bytes. */
function* spelt(bytes: Uint8Array, from: number, to: number): Generator<number> {
  for (let i = from; i < to; i++) {
    if (bytes[i] === META) yield* META_BYTES;
    else yield bytes[i]!;
  }
}
const META_BYTES = encoder.encode('\u2581');

export function unigramModel({ vocab, unk_id: unk, byte_fallback: fallback }: UnigramJson): Model {
  if (unk !== null && unk !== undefined && unk >= vocab.length)
    throw damaged(`model.unk_id: ${unk} is not one of the ${vocab.length} pieces`, 'tokenizer.json');
  const unknown = unk ?? -1;
  const listed = vocab.flatMap(([text], id) => (text === '' ? [] : [id]));
  const trie = buildTrie(
    listed.map((id) => squeezed(vocab[id]![0])),
    (i) => listed[i]!,
  );
  const least = vocab.reduce((a, [, score]) => Math.min(a, score), Infinity);
  const scores = Float64Array.from(vocab, ([, score]) => score);
  const { segment } = unigram({ trie, scores, unknown, unknownScore: least - UNKNOWN_PENALTY, single: false });
  const ids = new Map(vocab.map(([text], id) => [text, id]));
  const byteIds = fallback ? bytePieces(ids) : undefined;
  const found = new Pieces();
  const push = (out: Tokens, id: number, start: number, end: number): void => {
    out.ids.push(id);
    out.starts.push(start);
    out.ends.push(end);
  };
  /** Unknown characters in a row: perhaps a piece, else bytes, else one token. */
  const encodeUnknown = (bytes: Uint8Array, from: number, to: number, out: Tokens): void => {
    const id = lookUp(trie, bytes, from, to);
    if (id >= 0) return push(out, id, from, to);
    const spelling = byteIds ? Array.from(spelt(bytes, from, to), (b) => byteIds[b]!) : [-1];
    if (spelling.every((byte) => byte >= 0)) for (const byte of spelling) push(out, byte, from, to);
    else if (unknown >= 0) push(out, unknown, from, to);
  };
  return {
    ids,
    names: new Map(vocab.map(([text], id) => [id, text])),
    size: vocab.length,
    squeezed: true,
    encode(bytes, from, to, out) {
      found.count = 0;
      segment(bytes, from, to, found);
      for (let i = 0, start = from; i < found.count; i++) {
        if (found.ids[i] !== unknown) push(out, found.ids[i]!, start, found.ends[i]!);
        else {
          while (i + 1 < found.count && found.ids[i + 1] === unknown) i++;
          encodeUnknown(bytes, start, found.ends[i]!, out);
        }
        start = found.ends[i]!;
      }
    },
  };
}

export function bpeModel(json: BpeJson): Model {
  const ids = new Map(Object.entries(json.vocab));
  const names = new Map([...ids].map(([text, id]) => [id, text]));
  if (names.size < ids.size) throw damaged(`model.vocab: ${ids.size - names.size} ids are there more than once`, 'tokenizer.json');
  const symbolize = symbolizer(json, ids);
  const { merge } = merger(mergesOf(json, ids), { symbols: symbolize.ids });
  const whole = json.ignore_merges ? wholeWords(ids) : undefined;
  const [symbols, found] = [new Symbols(), new Pieces()];
  return {
    ids,
    names,
    size: ids.size,
    squeezed: false,
    encode(bytes, from, to, out) {
      const known = whole ? lookUp(whole, bytes, from, to) : -1;
      found.count = 0;
      if (known >= 0) found.push(known, to);
      else {
        symbols.clear(to - from);
        symbolize.run(bytes, from, to, symbols);
        merge(symbols.ids, symbols.ends, symbols.count, found);
      }
      for (let i = 0, start = from; i < found.count; start = found.ends[i++]!) {
        out.ids.push(found.ids[i]!);
        out.starts.push(start);
        out.ends.push(found.ends[i]!);
      }
    },
  };
}

function wholeWords(ids: ReadonlyMap<string, number>) {
  const words = [...ids].filter(([text]) => text !== '');
  return buildTrie(
    words.map(([text]) => encoder.encode(text)),
    (i) => words[i]![1],
  );
}

function mergesOf({ merges, continuing_subword_prefix: prefix }: BpeJson, ids: ReadonlyMap<string, number>): Merge[] {
  return merges.flatMap((merge, rank) => {
    if (typeof merge === 'string' && merge.startsWith('#version')) return [];
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    const [a = '', b = ''] = parts;
    const [left, right, into] = [ids.get(a), ids.get(b), ids.get(a + b.slice(prefix?.length ?? 0))];
    if (parts.length !== 2 || left === undefined || right === undefined || into === undefined)
      throw damaged(`model.merges[${rank}]: ${JSON.stringify(merge)} names a piece that model.vocab lacks`, 'tokenizer.json');
    return [{ left, right, into, rank }];
  });
}

interface Symbolizer {
  run(bytes: Uint8Array, from: number, to: number, out: Symbols): void;
  /** Ids that it gives. */
  readonly ids: ReadonlySet<number>;
}

/** Characters → ids of the first level: their own piece, their bytes, or the unknown piece. */
function symbolizer(json: BpeJson, ids: ReadonlyMap<string, number>): Symbolizer {
  const unknown = (json.unk_token === null || json.unk_token === undefined ? undefined : ids.get(json.unk_token)) ?? -1;
  const byteIds = json.byte_fallback ? bytePieces(ids) : undefined;
  const idOf = characterIds(json, ids);
  return {
    ids: new Set([...idOf.all, ...(byteIds ?? []), unknown]),
    run(bytes, from, to, out) {
      // An unknown character waits: the next may join it.
      let waiting = 0;
      let end = from;
      for (let at = from, length = 0; at < to; at += length) {
        length = lengthAt(bytes, at, to);
        const id = idOf.get(bytes, at, length, at === from, at + length === to);
        if (id < 0 && byteIds && spellable(bytes, at, length, byteIds)) {
          for (let i = at; i < at + length; i++) out.push(byteIds[bytes[i]!]!, ++end);
          continue;
        }
        if (waiting > 0 && (id >= 0 || !json.fuse_unk)) {
          out.push(unknown, (end += waiting));
          waiting = 0;
        }
        if (id >= 0) out.push(id, (end += length));
        else if (unknown >= 0) waiting += length;
      }
      if (waiting > 0) out.push(unknown, end + waiting);
    },
  };
}

function spellable(bytes: Uint8Array, at: number, length: number, byteIds: Int32Array): boolean {
  for (let i = at; i < at + length; i++) if (byteIds[bytes[i]!]! < 0) return false;
  return true;
}

/** Ids of characters; where pieces are marked as inside or at the end of a word, by their written form. */
function characterIds({ continuing_subword_prefix: prefix, end_of_word_suffix: suffix }: BpeJson, ids: ReadonlyMap<string, number>) {
  if (prefix || suffix) {
    const get = (bytes: Uint8Array, at: number, length: number, first: boolean, last: boolean): number =>
      ids.get(`${first ? '' : (prefix ?? '')}${String.fromCodePoint(codePointAt(bytes, at, length))}${last ? (suffix ?? '') : ''}`) ?? -1;
    return { get, all: ids.values() };
  }
  const points = new Map<number, number>();
  for (const [text, id] of ids) {
    const point = text.codePointAt(0);
    if (point !== undefined && String.fromCodePoint(point).length === text.length) points.set(point, id);
  }
  const { idOf } = characters(points);
  return { get: (bytes: Uint8Array, at: number, length: number): number => idOf(codePointAt(bytes, at, length)), all: points.values() };
}
