/** SentencePiece's normalizations by name, as rules from character sequences to what replaces them, and as the map that a `.model` holds. */
import { buildDoubleArray } from './double-array.ts';

export const NORMALIZATIONS = ['nmt_nfkc', 'nfkc', 'nmt_nfkc_cf', 'nfkc_cf', 'identity'] as const;
export type NormalizationName = (typeof NORMALIZATIONS)[number];

const LAST_CODE_POINT = 0x10ffff;
/** Characters that translation systems read as blanks, and those they drop (SentencePiece's builder.cc, MergeNmtMap). */
const BLANKS = '\t\n\f\r\u061c\u1680\u200b\u200c\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd';
const DROPPED =
  Array.from({ length: 0x20 }, (_, c) => String.fromCharCode(c))
    .filter((c) => c !== '\0' && !BLANKS.includes(c))
    .join('') + '\x7f\x8f\x9f';
/** A full-width tilde is another character than a tilde in Japanese. */
const KEPT = '\uff5e';

/** Made once: it takes a second. */
const maps = new Map<NormalizationName, Uint8Array>();

/** The map that replaces the longest rule at each place; empty for `identity`. Unicode's version is that of the JavaScript engine. */
export function charsmapOf(name: NormalizationName): Uint8Array {
  const map = maps.get(name) ?? (name === 'identity' ? new Uint8Array(0) : compile(rulesOf(name)));
  maps.set(name, map);
  return map;
}

/** What each sequence becomes. */
export function rulesOf(name: Exclude<NormalizationName, 'identity'>): ReadonlyMap<string, string> {
  const rules = compatibilityRules();
  if (name.startsWith('nmt')) {
    for (const c of BLANKS) rules.set(c, ' ');
    for (const c of DROPPED) rules.set(c, '');
    rules.delete(KEPT);
  }
  if (name.endsWith('_cf')) foldCase(rules);
  return necessary(rules);
}

function* codePoints(): Generator<string> {
  for (let code = 1; code <= LAST_CODE_POINT; code++) if (code < 0xd800 || code > 0xdfff) yield String.fromCodePoint(code);
}

/** NFKC of every character, and of every sequence of characters that decompose to what one character decomposes to. */
function compatibilityRules(): Map<string, string> {
  const rules = new Map<string, string>();
  const decomposed = new Set<string>();
  const sources = new Map<string, string[]>();
  for (const c of codePoints()) {
    const [composed, apart] = [c.normalize('NFKC'), c.normalize('NFKD')];
    if (composed === c && apart === c) continue;
    if (composed !== c) rules.set(c, composed);
    if (Array.from(apart).length > 1) decomposed.add(apart);
    else sources.set(apart, [...(sources.get(apart) ?? []), c]);
  }
  for (const apart of decomposed) {
    const composed = apart.normalize('NFKC');
    if (composed === apart) continue;
    let sequences = [''];
    for (const c of apart) sequences = sequences.flatMap((s) => [c, ...(sources.get(c) ?? [])].map((from) => s + from));
    for (const sequence of sequences) if (sequence !== composed) rules.set(sequence, composed);
  }
  return rules;
}

/** Simple case folding: one character to one. Cherokee folds to its capitals, which are older than its small letters. */
function foldCase(rules: Map<string, string>): void {
  const fold = (c: string): string => {
    if (CHEROKEE.test(c)) return c.toUpperCase();
    const lower = c.toUpperCase().toLowerCase();
    const small = Array.from(lower).length === 1 ? lower : c.toLowerCase();
    // A pattern that ignores case compares what characters fold to.
    return small !== c && Array.from(small).length === 1 && new RegExp(`^${c}$`, 'iu').test(small) ? small : c;
  };
  for (const [from, to] of rules) rules.set(from, Array.from(to, fold).join(''));
  for (const c of codePoints()) if (!rules.has(c) && c.toUpperCase() + c.toLowerCase() !== c + c && fold(c) !== c) rules.set(c, fold(c));
}

const CHEROKEE = /\p{Script=Cherokee}/u;

/** Rules without those that shorter rules, the longest first at each place, make as well. */
function necessary(rules: ReadonlyMap<string, string>): Map<string, string> {
  const byLength: [from: string, to: string, ends: readonly number[]][][] = [];
  for (const [from, to] of rules) {
    const ends = endsOf(from);
    (byLength[ends.length] ??= []).push([from, to, ends]);
  }
  const kept = new Map<string, string>();
  for (const [from, to, ends] of byLength.flat()) if (ends.length === 1 || applied(kept, from, ends) !== to) kept.set(from, to);
  return kept;
}

/** Where each character of a text ends. */
function endsOf(text: string): number[] {
  const ends: number[] = [];
  for (let i = 0; i < text.length;) ends.push((i += text.codePointAt(i)! > 0xffff ? 2 : 1));
  return ends;
}

/** What rules that are shorter than a text make of it; its characters end at `ends`. */
function applied(rules: ReadonlyMap<string, string>, text: string, ends: readonly number[]): string {
  let made = '';
  for (let i = 0, from = 0; i < ends.length; from = ends[i++]!) {
    let last = Math.min(i + ends.length - 1, ends.length) - 1;
    while (last >= i && !rules.has(text.slice(from, ends[last]))) last--;
    made += last >= i ? rules.get(text.slice(from, ends[last]))! : text.slice(from, ends[i]);
    i = Math.max(i, last);
  }
  return made;
}

/** The length of a double array, the array, and what replaces, each text with a zero byte at its end. */
function compile(rules: ReadonlyMap<string, string>): Uint8Array {
  const encoder = new TextEncoder();
  const places = new Map<string, number>();
  let texts = '';
  let size = 0;
  for (const text of [...new Set(rules.values())].sort()) {
    places.set(text, size);
    texts += `${text}\0`;
    size += encoder.encode(text).length + 1;
  }
  const entries = Array.from(rules, ([from, to]) => ({ key: encoder.encode(from), value: places.get(to)! })).sort((a, b) =>
    compareBytes(a.key, b.key),
  );
  const units = buildDoubleArray(
    entries.map(({ key }) => key),
    entries.map(({ value }) => value),
  );
  const map = new Uint8Array(4 + 4 * units.length + size);
  const view = new DataView(map.buffer);
  view.setUint32(0, 4 * units.length, true);
  units.forEach((unit, i) => view.setUint32(4 + 4 * i, unit, true));
  map.set(encoder.encode(texts), 4 + 4 * units.length);
  return map;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
