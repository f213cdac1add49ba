/** Added tokens of tokenizer.json: strings that are cut out of a text before, or after, it is normalized. */
import { type Aligned, slices } from './aligned.ts';
import type { AddedTokenJson } from './schema.ts';

export interface Added {
  readonly id: number;
  readonly token: AddedTokenJson;
  /** What it is found as: normalized, where the token is. */
  readonly pattern: string;
}

/** A part of a text: of an added token, or yet to be encoded. */
export interface Part {
  readonly source: Aligned;
  readonly added?: Added;
}

/** Ids as `tokenizers` gives them: that of the model's piece of this name, else the next free one. */
export function addedTokens(
  tokens: readonly AddedTokenJson[],
  vocabulary: { readonly size: number; idOf(text: string): number | undefined },
  normalize: (text: string) => string,
): Added[] {
  const byContent = new Map<string, Added>();
  let next = vocabulary.size;
  for (const token of tokens) {
    if (token.content === '') continue;
    const id = byContent.get(token.content)?.id ?? vocabulary.idOf(token.content) ?? next++;
    byContent.set(token.content, { id, token, pattern: token.normalized ? normalize(token.content) : token.content });
  }
  return [...byContent.values()];
}

interface Node {
  readonly next: Map<number, Node>;
  added?: Added;
}

/** Cuts tokens out of a text: of those that begin first the longest. */
export function splitter(all: readonly Added[]): (source: Aligned) => Part[] {
  const root: Node = { next: new Map() };
  for (const added of all) {
    if (added.pattern === '') continue;
    let node = root;
    for (let i = 0; i < added.pattern.length; i++) {
      const unit = added.pattern.charCodeAt(i);
      let child = node.next.get(unit);
      if (!child) node.next.set(unit, (child = { next: new Map() }));
      node = child;
    }
    node.added ??= added;
  }
  if (root.next.size === 0) return (source) => [{ source }];
  // Most code units begin no token.
  const begins = new Uint8Array(0x10000);
  for (const unit of root.next.keys()) begins[unit] = 1;
  return (source) => split(source, root, begins);
}

function longestAt(root: Node, text: string, at: number): Added | undefined {
  let node: Node | undefined = root;
  let found: Added | undefined;
  for (let i = at; node; i++) {
    found = node.added ?? found;
    node = i < text.length ? node.next.get(text.charCodeAt(i)) : undefined;
  }
  return found;
}

/** Letters, marks, digits and connectors, as Rust's \w has them. */
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const [STARTS_WITH_WORD, WORD_CHARACTER, SPACE] = [new RegExp(`^${WORD}`, 'u'), new RegExp(WORD, 'u'), /\p{White_Space}/u];

const characterBefore = (text: string, at: number): string => {
  const low = text.charCodeAt(at - 1);
  return text.slice(low >= 0xdc00 && low <= 0xdfff ? at - 2 : at - 1, at);
};

function split(source: Aligned, root: Node, begins: Uint8Array): Part[] {
  const { text } = source;
  const cuts: number[] = [];
  const tokens: (Added | undefined)[] = [];
  let done = 0;
  const cut = (from: number, to: number, added?: Added): void => {
    if (from === to) return;
    cuts.push(from, to);
    tokens.push(added);
    done = to;
  };
  for (let at = 0; at < text.length;) {
    const added = begins[text.charCodeAt(at)] ? longestAt(root, text, at) : undefined;
    if (!added) {
      at++;
      continue;
    }
    const { single_word: single, lstrip, rstrip } = added.token;
    let [from, to] = [at, at + added.pattern.length];
    at = to;
    if (single && ((from > 0 && WORD_CHARACTER.test(characterBefore(text, from))) || STARTS_WITH_WORD.test(text.slice(to, to + 2))))
      continue;
    if (lstrip) while (from > done && SPACE.test(text[from - 1]!)) from--;
    if (rstrip) while (to < text.length && SPACE.test(text[to]!)) to++;
    cut(done, from);
    cut(from, to, added);
  }
  if (done === 0) return [{ source }];
  cut(done, text.length);
  return slices(source, cuts).map((part, i) => ({ source: part, ...(tokens[i] && { added: tokens[i] }) }));
}
