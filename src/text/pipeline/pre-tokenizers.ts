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
      return byPattern(
        /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
        'Removed',
        true,
      );
    case 'WhitespaceSplit':
      return byPattern(/\p{White_Space}/gu, 'Removed');
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
function spelt({ source, cuts, bytes }: Words): Words {
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
    for (const { 0: found, index } of text.matchAll(pattern)) {
      if (done < index) parts.push(index, 1 - match);
      parts.push((done = index + found.length), match);
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
