/** Pre-tokenizers of tokenizer.json: cut a text into the words inside which a model works. */
import { words } from '../words.ts';
import { type Aligned, prepend, replaceMatches, slices, startOf } from './aligned.ts';
import { patternOf, spellBytes } from './normalizers.ts';
import { literally } from './regex.ts';
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

/** Parts of a text, each a match or not, that together are the text. */
type Parts = (text: string) => readonly (readonly [from: number, to: number, match: boolean])[];

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
      return byPattern(literally(json.delimiter), 'Removed');
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
  const cut = split ? cutting(cutsBy(partsOf(literally(replacement)), 'MergedWithNext')) : wholeText;
  return (source) => {
    const marked = replaceMatches(source, / /g, replacement);
    const bare = scheme === 'always' || (scheme === 'first' && startOf(source) === 0);
    return cut(bare && !marked.text.startsWith(replacement) ? prepend(marked, replacement) : marked);
  };
}

const byPattern = (pattern: RegExp, behavior: Behavior, invert = false): PreTokenizer =>
  cutting(cutsBy(invert ? inverted(partsOf(pattern)) : partsOf(pattern), behavior));

const partsOf =
  (pattern: RegExp): Parts =>
  (text) => {
    const parts: [number, number, boolean][] = [];
    let done = 0;
    for (const { 0: match, index } of text.matchAll(pattern)) {
      if (done < index) parts.push([done, index, false]);
      parts.push([index, (done = index + match.length), true]);
    }
    if (done < text.length) parts.push([done, text.length, false]);
    return parts;
  };

const inverted =
  (parts: Parts): Parts =>
  (text) =>
    parts(text).map(([from, to, match]) => [from, to, !match]);

/** What becomes of matches: words of their own, nothing, or part of a neighbour. */
function cutsBy(parts: Parts, behavior: Behavior): (text: string) => number[] {
  return (text) => {
    const all = parts(text);
    const cuts: number[] = [];
    let before = false;
    if (behavior === 'MergedWithNext') {
      for (let i = all.length - 1; i >= 0; i--) {
        const [from, to, match] = all[i]!;
        if (match && !before && cuts.length > 0) cuts[cuts.length - 1] = from;
        else cuts.push(to, from);
        before = match;
      }
      return nonEmpty(cuts.reverse());
    }
    for (const [from, to, match] of all) {
      const joins = behavior === 'MergedWithPrevious' ? match && !before : behavior === 'Contiguous' && match === before;
      if (joins && cuts.length > 0) cuts[cuts.length - 1] = to;
      else if (behavior !== 'Removed' || !match) cuts.push(from, to);
      before = match;
    }
    return nonEmpty(cuts);
  };
}

const nonEmpty = (cuts: number[]): number[] => cuts.filter((_, i) => cuts[i & ~1]! < cuts[i | 1]!);
