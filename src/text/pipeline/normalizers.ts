/** Normalizers of tokenizer.json: what is done to a text before it is cut. */
import { type Charsmap, readCharsmap } from '../charsmap.ts';
import { CHARACTER_OF } from '../alphabet.ts';
import { type Aligned, aligned, type Change, codePoints, prepend, replaceMatches, slices, transform } from './aligned.ts';
import { literally, translate } from './regex.ts';
import type { NormalizerJson, PatternJson } from './schema.ts';
import { normalizeForm } from './unicode.ts';

export type Normalizer = (source: Aligned) => Aligned;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export const patternOf = (pattern: PatternJson): RegExp => ('String' in pattern ? literally(pattern.String) : translate(pattern.Regex));

export function normalizerOf(json: NormalizerJson): Normalizer {
  switch (json.type) {
    case 'Sequence': {
      const parts = json.normalizers.map(normalizerOf);
      return (source) => parts.reduce((text, part) => part(text), source);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (source) => normalizeForm(source, json.type);
    case 'Lowercase':
      return lowercase;
    case 'Strip':
      return (source) => strip(source, json.strip_left, json.strip_right);
    case 'StripAccents':
      return (source) => replaceMatches(source, /\p{M}+/gu, '');
    case 'Nmt':
      return (source) => replaceMatches(replaceMatches(source, CONTROLS, ''), SPACES, ' ');
    case 'Replace': {
      const pattern = patternOf(json.pattern);
      return (source) => replaceMatches(source, pattern, json.content);
    }
    case 'Prepend':
      return (source) => prepend(source, json.prepend);
    case 'Precompiled':
      return precompiledNormalizer(readCharsmap(bytesOfBase64(json.precompiled_charsmap)));
    case 'ByteLevel':
      return spellBytes;
  }
}

/** What works character by character, and leaves an ASCII letter or digit a character of its own. */
const LOCAL = new Set<NormalizerJson['type']>(['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt', 'Strip']);

/**
 * The same normalizer where only the place of the first character is followed. What stands before the first ASCII letter or digit is normalized
 * with alignments, to see what the text then begins with; where that is not enough the whole text is.
 */
export function followingStart(json: NormalizerJson | undefined, normalize: Normalizer): Normalizer {
  const flat = (n: NormalizerJson): NormalizerJson[] => (n.type === 'Sequence' ? n.normalizers.flatMap(flat) : [n]);
  const local = !json || flat(json).every(({ type }) => LOCAL.has(type));
  return (source) => {
    if (source.start !== 0) return normalize(source);
    const at = source.text.search(/[a-zA-Z0-9]/);
    const begin = local && at >= 0 ? normalize(aligned(source.text.slice(0, at + 1), 'all')).starts! : [];
    // Where two stem from the first of the source, a cut between them would have to know.
    if (begin.length === 0 || begin[1] === 0) return normalize(aligned(source.text, 'all'));
    return { ...normalize(source), start: begin[0] };
  };
}

/** What SentencePiece's rule nmt takes away, and what it makes a space. */
const CONTROLS = /[\u0001-\u0008\u000B\u000E-\u001F\u007F\u008F\u009F]/gu;
const SPACES = /[\t\n\f\r\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD]/gu;

function perCharacter(source: Aligned, map: (c: string) => string): Aligned {
  const changes = Array.from(source.text, (c): Change[] => Array.from(map(c), (part, i): Change => [part, i > 0 ? 1 : 0]));
  return transform(source, changes.flat());
}

/** One by one: a sigma at the end of a word is like any other. */
function lowercase(source: Aligned): Aligned {
  if (!source.starts && !source.text.includes('\u03A3')) return { ...source, text: source.text.toLowerCase() };
  return perCharacter(source, (c) => c.toLowerCase());
}

/** Each byte as a character of the byte-level alphabet. */
export function spellBytes(source: Aligned): Aligned {
  const changes = Array.from(source.text, (c) => Array.from(encoder.encode(c), (b, i): Change => [CHARACTER_OF[b]!, i > 0 ? 1 : 0]));
  return transform(source, changes.flat());
}

function strip(source: Aligned, left: boolean, right: boolean): Aligned {
  const { text } = source;
  const from = left ? /^\p{White_Space}*/u.exec(text)![0].length : 0;
  // A search for white space at the end would try every run of it.
  let to = text.length;
  if (right) while (to > from && /\p{White_Space}/u.test(text[to - 1]!)) to--;
  return from === 0 && to === text.length ? source : slices(source, [from, to])[0]!;
}

function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** A grapheme is looked up whole when it has fewer bytes than this. */
const WHOLE = 6;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** What is no ASCII, with the character before and after, which it may join; and a line break of two characters, one grapheme. */
const JOINED = /\r\n|[\0-\x7F]?(?:[^\0-\x7F]+(?:\r\n|[\0-\x7F])?)+/g;
/** Characters that are graphemes of their own whatever stands beside them here. */
const ALONE =
  /^[\0-\x0C\x0E-\x7F\xA0-\xAC\xAE-\u02FF\u0370-\u0482\u048A-\u052F\u2010-\u2027\u3000-\u3029\u3041-\u3096\u30A1-\u30FA\u4E00-\u9FA5\uAC00-\uD7A3]*$/;
const REMEMBERED = 50_000;

/** SentencePiece's map as `tokenizers` applies it: by graphemes, and the shortest rule that fits counts. */
function precompiledNormalizer(map: Charsmap): Normalizer {
  const known = new Map<string, string | null>();
  const ruleOf = (part: string): string | null => {
    const before = known.get(part);
    if (before !== undefined) return before;
    const bytes = encoder.encode(part);
    const found = map.match(bytes, 0, bytes.length, 'shortest') > 0 ? decoder.decode(map.bytes.subarray(map.from, map.to)) : null;
    if (known.size >= REMEMBERED) known.clear();
    known.set(part, found);
    return found;
  };
  // Whether a code unit alone has a rule, found out once each; of the halves of pairs it is not known.
  const units = new Uint8Array(0x10000);
  const stays = (unit: number): boolean => {
    if (units[unit] === UNKNOWN && (unit & 0xf800) !== 0xd800) units[unit] = ruleOf(String.fromCharCode(unit)) === null ? STAYS! : CHANGES!;
    return units[unit] === STAYS;
  };
  return (source) => {
    const edits = editsOf(source.text, ruleOf, stays);
    return edits.length > 0 ? edited(source, edits) : source;
  };
}
const [UNKNOWN, STAYS, CHANGES] = [0, 1, 2];

/** Text at `at`, of `length` UTF-16 units, becomes another. */
type Edit = readonly [at: number, length: number, text: string];

function editsOf(text: string, ruleOf: (part: string) => string | null, stays: (unit: number) => boolean): Edit[] {
  const edits: Edit[] = [];
  const edit = (at: number, part: string): boolean => {
    const replacement = ruleOf(part);
    if (replacement !== null) edits.push([at, part.length, replacement]);
    return replacement !== null;
  };
  const each = (from: number, to: number): void => {
    for (let at = from; at < to; at++) {
      if (stays(text.charCodeAt(at))) continue;
      const c = String.fromCodePoint(text.codePointAt(at)!);
      edit(at, c);
      at += c.length - 1;
    }
  };
  let done = 0;
  JOINED.lastIndex = 0;
  for (let found = JOINED.exec(text); found; found = JOINED.exec(text)) {
    const { 0: run, index } = found;
    each(done, index);
    done = index + run.length;
    if (ALONE.test(run)) each(index, done);
    else
      for (const { segment, index: at } of graphemes.segment(run))
        if (encoder.encode(segment).length >= WHOLE || !edit(index + at, segment)) each(index + at, index + at + segment.length);
  }
  each(done, text.length);
  return edits;
}

function edited(source: Aligned, edits: readonly Edit[]): Aligned {
  const { text } = source;
  if (!source.starts) {
    let out = '';
    let done = 0;
    for (const [at, length, replacement] of edits) {
      out += text.slice(done, at) + replacement;
      done = at + length;
    }
    return { ...source, text: out + text.slice(done) };
  }
  const changes: Change[] = [];
  const keep = (part: string): void => {
    for (const c of part) changes.push([c, 0]);
  };
  let done = 0;
  for (const [at, length, replacement] of edits) {
    keep(text.slice(done, at));
    substitute(changes, codePoints(text.slice(at, at + length), length), replacement);
    done = at + length;
  }
  keep(text.slice(done));
  return transform(source, changes);
}

function substitute(changes: Change[], removed: number, replacement: string): void {
  const parts = Array.from(replacement);
  const more = parts.length - removed;
  parts.forEach((c, i) => changes.push([c, i >= parts.length - more ? 1 : 0]));
  const last = changes.at(-1);
  if (more < 0 && last) changes[changes.length - 1] = [last[0], last[1] + more];
}
