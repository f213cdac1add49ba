/** SentencePiece's two models over normalized bytes. */
import { type Merge, merger } from './bpe.ts';
import { characters, codePointAt, lengthAt, Symbols } from './characters.ts';
import { META, META_LENGTH, Pieces, type Segmenter, squeezed } from './pieces.ts';
import { isMatched, PIECE, type SentencePieceModel } from './sentencepiece-model.ts';
import { longest } from './sentencepiece-normalizer.ts';
import { buildTrie, type Trie } from './trie.ts';
import { unigram } from './unigram.ts';

/** An unknown character costs so much more than the rarest piece (kUnkPenalty). */
const UNKNOWN_PENALTY = 10;
/** A user-defined piece costs nearly nothing. */
const USER_DEFINED_PENALTY = 0.1;
/** Where the search for the largest score begins (FLT_MIN): models hold log probabilities, below 0. */
const LEAST_POSITIVE = 2 ** -126;

type Model = Pick<SentencePieceModel, 'kind' | 'pieces'>;

export const unknownOf = ({ pieces }: Pick<Model, 'pieces'>): number => pieces.findIndex((p) => p.type === PIECE.unknown);

/** Bytes of a piece in UTF-8, with ▁ as three. */
const utf8Length = (bytes: Uint8Array): number => bytes.reduce((n, b) => n + (b === META ? META_LENGTH : 1), 0);

/** Trie of user-defined pieces, written as `spell` writes them; undefined when there are none. */
export function userDefined({ pieces }: Pick<Model, 'pieces'>, spell: (text: string) => Uint8Array): Trie | undefined {
  const ids = pieces.flatMap((p, id) => (p.type === PIECE.userDefined ? [id] : []));
  if (ids.length === 0) return undefined;
  return buildTrie(
    ids.map((id) => spell(pieces[id]!.text)),
    (i) => ids[i]!,
  );
}

export const sentencePieceSegmenter = (model: Model): Segmenter => (model.kind === 'unigram' ? unigramOf(model) : bpeOf(model));

function unigramOf(model: Model): Segmenter {
  const { pieces } = model;
  const usable = pieces.flatMap((p, id) => (isMatched(p.type) && p.type !== PIECE.unused ? [id] : []));
  const bytes = usable.map((id) => squeezed(pieces[id]!.text));
  const normal = pieces.filter((p) => p.type === PIECE.normal).map((p) => p.score);
  const most = normal.reduce((a, b) => Math.max(a, b), LEAST_POSITIVE);
  const scores = Float64Array.from(pieces, (p) => p.score);
  usable.forEach((id, i) => {
    if (pieces[id]!.type === PIECE.userDefined) scores[id] = Math.fround(utf8Length(bytes[i]!) * most) - USER_DEFINED_PENALTY;
  });
  const least = normal.reduce((a, b) => Math.min(a, b), Number.MAX_VALUE);
  return unigram({
    trie: buildTrie(bytes, (i) => usable[i]!),
    scores,
    unknown: unknownOf(model),
    unknownScore: Math.fround(Math.fround(least) - UNKNOWN_PENALTY),
    single: true,
  });
}

/** Every way to put a piece together from two symbols is a merge; its rank is that of the piece's score. */
function bpeOf(model: Model): Segmenter {
  const { pieces } = model;
  const alphabet = symbolsOf(model);
  const fixed = userDefined(model, squeezed);
  const hasUnused = pieces.some((p) => p.type === PIECE.unused);
  const offered = hasUnused ? new Map<number, Merge>() : undefined;
  const { merge } = merger(mergesOf(model, alphabet.symbolOf), { offered });
  const symbols = new Symbols();
  return {
    segment(bytes, from, to, out) {
      symbols.clear(to - from);
      for (let at = from; at < to;) {
        const frozen = fixed ? longest(fixed, bytes, at, to) : 0;
        const length = frozen || lengthAt(bytes, at, to);
        const id = frozen ? alphabet.frozen : alphabet.idOf(codePointAt(bytes, at, length));
        symbols.push(id < 0 ? alphabet.unknown : id, (at += length));
      }
      const first = out.count;
      offered?.clear();
      merge(symbols.ids, symbols.ends, symbols.count, out);
      if (offered) takeApart(model, alphabet.texts, offered, out, first);
      for (let i = first; i < out.count; i++) {
        const id = out.ids[i]!;
        if (id === alphabet.frozen) out.ids[i] = idOfFrozen(fixed!, bytes, i === 0 ? from : Math.max(from, out.ends[i - 1]!), out.ends[i]!);
        out.ids[i] = alphabet.final[out.ids[i]!]!;
      }
    },
  };
}

function idOfFrozen({ units }: Trie, bytes: Uint8Array, from: number, to: number): number {
  let node = 0;
  for (let i = from; i < to; i++) node = units[node]! + 4 * bytes[i]!;
  return units[node + 2]!;
}

/** First-level symbols: characters of pieces by the id of their piece, or ids beyond the pieces for those that are none. */
function symbolsOf(model: Model) {
  const { pieces } = model;
  const symbolOf = new Map(pieces.flatMap((p, id) => (isMatched(p.type) ? [[p.text, id] as const] : [])));
  const reserved = new Map(pieces.flatMap((p, id) => (isMatched(p.type) ? [] : [[p.text, id] as const])));
  const texts = pieces.map((p) => p.text);
  for (const { text, type } of pieces) {
    if (!isMatched(type)) continue;
    for (const character of text) {
      if (symbolOf.has(character)) continue;
      symbolOf.set(character, texts.length);
      texts.push(character);
    }
  }
  const unk = unknownOf(model);
  const unknown = texts.length;
  const final = Int32Array.from([...texts, ''], (text, id) => reserved.get(text) ?? (id < pieces.length ? id : unk));
  // A name that no text can spell takes the place of a piece that is written the same.
  pieces.forEach((p, id) => !isMatched(p.type) && (final[id] = id));
  const points = new Map<number, number>();
  for (const [text, id] of symbolOf) {
    const point = text.codePointAt(0)!;
    if (String.fromCodePoint(point).length === text.length) points.set(point, id);
  }
  return { symbolOf, texts, idOf: characters(points).idOf, final, unknown, frozen: unknown + 1 };
}

function mergesOf({ pieces }: Model, symbolOf: ReadonlyMap<string, number>): Merge[] {
  const scores = [...new Set(pieces.map((p) => p.score))].sort((a, b) => b - a);
  const rankOf = new Map(scores.map((score, rank) => [score, rank]));
  return pieces.flatMap(({ text, score, type }, into) => {
    if (!isMatched(type)) return [];
    const found: Merge[] = [];
    let cut = 0;
    for (const character of text) {
      const left = cut > 0 ? symbolOf.get(text.slice(0, cut)) : undefined;
      const right = left === undefined ? undefined : symbolOf.get(text.slice(cut));
      if (left !== undefined && right !== undefined) found.push({ left, right, into, rank: rankOf.get(score)! });
      cut += character.length;
    }
    return found;
  });
}

/** Pieces that may not be used fall into the two that were offered last to make them, and so on. */
function takeApart({ pieces }: Model, texts: readonly string[], offered: ReadonlyMap<number, Merge>, out: Pieces, first: number): void {
  const whole = new Pieces();
  for (let i = first; i < out.count; i++) whole.push(out.ids[i]!, out.ends[i]!);
  out.count = first;
  const pending: (readonly [id: number, end: number])[] = [];
  for (let i = 0; i < whole.count; i++) {
    pending.push([whole.ids[i]!, whole.ends[i]!]);
    for (let top = pending.pop(); top; top = pending.pop()) {
      const [id, end] = top;
      const merge = pieces[id]?.type === PIECE.unused ? offered.get(id) : undefined;
      if (!merge) out.push(id, end);
      else pending.push([merge.right, end], [merge.left, end - squeezed(texts[merge.right]!).length]);
    }
  }
}
