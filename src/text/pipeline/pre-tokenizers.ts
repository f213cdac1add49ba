/** Pre-tokenizers of tokenizer.json: cut a text into the words inside which a model works. */
import { words } from '../words.ts';
import { type Aligned, prepend, replaceMatches, slices, startOf } from './aligned.ts';
import { patternOf, spellBytes } from './normalizers.ts';
import type { Behavior, PreTokenizerJson } from './schema.ts';

/** A text and the words in it: from, to, from, to, … in UTF-16 units. */
export interface Words {
  readonly source: Aligned;
  readonly cuts: readonly number[];
  /** The model shall see bytes, as characters of the byte-level alphabet. */
  readonly bytes: boolean;
}

/** Cuts a text that is not empty. */
export type PreTokenizer = (source: Aligned) => Words[];

/** Parts of a text that together are the text: where each ends, and 1 where it is a match, else 0. */
type Parts = (text: string) => readonly number[];

export const wholeText: PreTokenizer = (source) => [{ source, cuts: [0, source.text.length], bytes: false }];

/** A pre-tokenizer as the one that cuts the text, and what cuts each of its words, which are then texts of their own. */
export interface Stages {
  readonly cut: PreTokenizer;
  readonly inside: PreTokenizer;
  /** Whether what is inside a word depends on where the word stands. */
  readonly placed: boolean;
}

export function stagesOf(json: PreTokenizerJson | undefined): Stages {
  const [first, ...others] = json?.type === 'Sequence' ? json.pretokenizers : json ? [json] : [];
  return {
    cut: first ? preTokenizerOf(first) : wholeText,
    inside: others.map(preTokenizerOf).reduce(inTurn, wholeText),
    placed: others.some(marksFirst),
  };
}

/** Whether a word at the beginning of the source is marked, and no other. */
export const marksFirst = (json: PreTokenizerJson): boolean =>
  json.type === 'Sequence' ? json.pretokenizers.some(marksFirst) : json.type === 'Metaspace' && json.prepend_scheme === 'first';

export function preTokenizerOf(json: PreTokenizerJson): PreTokenizer {
  switch (json.type) {
    case 'Sequence':
      return json.pretokenizers.map(preTokenizerOf).reduce(inTurn, wholeText);
    case 'Metaspace':
      return metaspace(json);
    case 'ByteLevel': {
      const cut = json.use_regex ? cutting(isolated) : wholeText;
      const prefixed = (source: Aligned): Aligned =>
        json.add_prefix_space && !source.text.startsWith(' ') ? prepend(source, ' ') : source;
      // Bytes are spelt last: the expression is about the text.
      return (source) => cut(prefixed(source)).map((words) => ({ ...words, bytes: true }));
    }
    case 'Whitespace':
      return cutting(runs);
    case 'WhitespaceSplit':
      return cutting(spaceless);
    case 'Split':
      return byPattern(patternOf(json.pattern), json.behavior, json.invert);
    case 'Digits':
      return byPattern(/\p{N}/gu, json.individual_digits ? 'Isolated' : 'Contiguous');
    case 'Punctuation':
      return byPattern(/[\p{P}!-/:-@[-`{-~]/gu, json.behavior);
    case 'CharDelimiterSplit':
      return cutting(cutsBy(partsAt(json.delimiter), 'Removed'));
  }
}

/** The second cuts the words of the first. */
function inTurn(first: PreTokenizer, second: PreTokenizer): PreTokenizer {
  if (first === wholeText) return second;
  return (source) =>
    first(source).flatMap((found) => {
      const { source: text, cuts } = spelt(found);
      return slices(text, cuts).flatMap(second);
    });
}

function isolated(text: string): number[] {
  const cuts: number[] = [];
  let at = 0;
  for (const word of words(text)) cuts.push(at, (at += word.length));
  return cuts;
}

const cutting =
  (cut: (text: string) => number[]): PreTokenizer =>
  (source) => [{ source, cuts: cut(source.text), bytes: false }];

/** The same words with each byte spelt as a character of the byte-level alphabet, where that was only noted. */
export function spelt({ source, cuts, bytes }: Words): Words {
  if (!bytes) return { source, cuts, bytes };
  let [unit, byte] = [0, 0];
  const moved = cuts.map((cut) => {
    byte += encoder.encode(source.text.slice(unit, cut)).length;
    unit = cut;
    return byte;
  });
  return { source: spellBytes(source), cuts: moved, bytes: false };
}

const encoder = new TextEncoder();

/** What a code unit is: classes of `Whitespace`, found out once each. */
const [UNKNOWN, SPACE, WORD, OTHER] = [0, 1, 2, 3];
const classes = new Uint8Array(0x10000);
const IS_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const IS_SPACE = /\p{White_Space}/u;
const classOf = (c: string): number => (IS_SPACE.test(c) ? SPACE! : IS_WORD.test(c) ? WORD! : OTHER!);

/** Class of the character at `at`; no space has two units, and the second of a pair is of the class of the pair. */
function classAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if ((unit & 0xf800) === 0xd800) return classOf(String.fromCodePoint(text.codePointAt((unit & 0xfc00) === 0xdc00 ? at - 1 : at)!));
  const known = classes[unit]!;
  return known === UNKNOWN ? (classes[unit] = classOf(text[at]!)) : known;
}

/** Runs of word characters, and runs of others that are no spaces. */
function runs(text: string): number[] {
  const cuts: number[] = [];
  let [from, before] = [0, SPACE];
  for (let at = 0; at <= text.length; at++) {
    const here = at < text.length ? classAt(text, at) : SPACE;
    if (here === before) continue;
    if (before !== SPACE) cuts.push(from, at);
    [from, before] = [at, here];
  }
  return cuts;
}

/** Runs of anything but spaces. */
function spaceless(text: string): number[] {
  const cuts: number[] = [];
  let from = 0;
  for (let at = 0; at <= text.length; at++) {
    if (at < text.length && classAt(text, at) !== SPACE) continue;
    if (from < at) cuts.push(from, at);
    from = at + 1;
  }
  return cuts;
}

function metaspace({ replacement, prepend_scheme: scheme, split }: Extract<PreTokenizerJson, { type: 'Metaspace' }>): PreTokenizer {
  const cut = split ? cutting(cutsBy(partsAt(replacement), 'MergedWithNext')) : wholeText;
  return (source) => {
    const marked = replaceMatches(source, / /g, replacement);
    const bare = scheme === 'always' || (scheme === 'first' && startOf(source) === 0);
    return cut(bare && !marked.text.startsWith(replacement) ? prepend(marked, replacement) : marked);
  };
}

const byPattern = (pattern: RegExp, behavior: Behavior, invert = false): PreTokenizer =>
  cutting(cutsBy(partsOf(pattern, invert ? 0 : 1), behavior));

/** `match`: what a match counts as. */
const partsOf =
  (pattern: RegExp, match: 0 | 1): Parts =>
  (text) => {
    const parts: number[] = [];
    let done = 0;
    // By hand: `matchAll` copies the expression for each text.
    pattern.lastIndex = 0;
    for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
      const { 0: whole, index } = found;
      if (done < index) parts.push(index, 1 - match);
      parts.push((done = index + whole.length), match);
      if (whole === '') pattern.lastIndex += text.codePointAt(index)! > 0xffff ? 2 : 1;
    }
    if (done < text.length) parts.push(text.length, 1 - match);
    return parts;
  };

/** Of one string: quicker than an expression. */
const partsAt =
  (delimiter: string): Parts =>
  (text) => {
    const parts: number[] = [];
    let done = 0;
    for (let at = text.indexOf(delimiter); at >= 0; at = text.indexOf(delimiter, done)) {
      if (done < at) parts.push(at, 0);
      parts.push((done = at + delimiter.length), 1);
    }
    if (done < text.length) parts.push(text.length, 0);
    return parts;
  };

/** What becomes of matches: words of their own, nothing, or part of a neighbour. */
function cutsBy(parts: Parts, behavior: Behavior): (text: string) => number[] {
  return (text) => {
    const all = parts(text);
    const cuts: number[] = [];
    // Of the part before, or after where matches go to the next.
    let other = 0;
    if (behavior === 'MergedWithNext') {
      for (let i = all.length - 2; i >= 0; i -= 2) {
        const [from, match] = [i > 0 ? all[i - 2]! : 0, all[i + 1]!];
        if (match && !other && cuts.length > 0) cuts[cuts.length - 1] = from;
        else cuts.push(all[i]!, from);
        other = match;
      }
      return nonEmpty(cuts.reverse());
    }
    for (let i = 0; i < all.length; i += 2) {
      const [to, match] = [all[i]!, all[i + 1]!];
      const joins = behavior === 'MergedWithPrevious' ? match && !other : behavior === 'Contiguous' && match === other;
      if (joins && cuts.length > 0) cuts[cuts.length - 1] = to;
      else if (behavior !== 'Removed' || !match) cuts.push(i > 0 ? all[i - 2]! : 0, to);
      other = match;
    }
    return nonEmpty(cuts);
  };
}

/** An expression may match nothing. */
const nonEmpty = (cuts: number[]): number[] =>
  cuts.some((cut, i) => i % 2 === 1 && cut === cuts[i - 1]) ? cuts.filter((_, i) => cuts[i & ~1]! < cuts[i | 1]!) : cuts;
