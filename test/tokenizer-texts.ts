/** Texts and files that the tests of tokenizers share. */
import fc from 'fast-check';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const GOLDENS = 'test/goldens/tokenizers';

/** Names of test files by their ending, `.model` or `.json`. */
export const goldenTokenizers = (ending: string): readonly string[] =>
  readdirSync(GOLDENS)
    .filter((f) => f.endsWith(`${ending}.gz`))
    .map((f) => f.slice(0, -'.gz'.length));

export const goldenTokenizer = (name: string): Uint8Array => new Uint8Array(gunzipSync(readFileSync(join(GOLDENS, `${name}.gz`))));

/** Code points assigned long ago: libraries follow different versions of Unicode. */
const OLD = [
  [0, 0x377],
  [0x391, 0x3a1],
  [0x3a3, 0x4ff],
  [0x531, 0x556],
  [0x5d0, 0x5ea],
  [0x621, 0x652],
  [0x905, 0x939],
  [0xe01, 0xe3a],
  [0x1100, 0x11ff],
  [0x1e00, 0x1eff],
  [0x2000, 0x2064],
  [0x2070, 0x2071],
  [0x20a0, 0x20b5],
  [0x2100, 0x218a],
  [0x2190, 0x23ff],
  [0x2460, 0x26ff],
  [0x3000, 0x303f],
  [0x3041, 0x3096],
  [0x30a0, 0x30ff],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xf900, 0xfa2d],
  [0xfb00, 0xfb06],
  [0xfb50, 0xfbb1],
  [0xfe30, 0xfe4f],
  [0xff01, 0xffbe],
  [0xfff9, 0xfffd],
  [0x1d400, 0x1d454],
  [0x1f600, 0x1f64f],
  [0x20000, 0x2a6d6],
  [0xe0100, 0xe01ef],
  [0xf0000, 0x10ffff],
] as const;

const codePoint = fc.oneof(...OLD.map(([min, max]) => fc.integer({ min, max }).map((c) => String.fromCodePoint(c))));

/** Surrogates that met by chance may be a character that one side's tables do not know yet. */
const oldOrBlank = (char: string): string =>
  OLD.some(([min, max]) => char.codePointAt(0)! >= min && char.codePointAt(0)! <= max) ? char : ' ';

/** What normalizers, pre-tokenizers and added tokens treat in ways of their own. */
const tricky = [
  '<s>',
  '</s>',
  '<mask>',
  '<sep>',
  ' of ',
  '<unk>',
  '<|eot|>',
  '<extra>',
  '▁sep▁',
  '<ctrl>',
  '<pad>',
  '<0x41>',
  'token',
  'New York',
  'tokens',
  ' ',
  '  ',
  '▁',
  '▁▁',
  '	',
  '\n',
  '\r\n',
  '',
  '\xA0',
  '​',
  '\u2028',
  '　',
  '﻿',
  '\0',
  '',
  '',
  '�',
  "it's",
  "I'LL",
  "don't",
  'Hello World',
  '123',
  '4567',
  '٣٤',
  'Ⅷ',
  '½',
  'Café',
  'é',
  'ế',
  'ệ',
  '̈́',
  '̀',
  'ﬁ',
  '①',
  'Å',
  'Å',
  'Σ',
  'ΑΣ',
  'İ',
  'ﷺ',
  '각',
  '각',
  '̴ཱི',
  '؀1',
  '𝔘',
  '👩‍👧🏽',
  '􏿿',
  '日本語',
  'हिन्दी',
  'ไทย',
  'עב',
  'عرب',
  'Ġ',
  '!?.,;:',
  '«—»',
];

/** Any text: all scripts, control characters, ill-formed UTF-16, what is special to some part of a tokenizer. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.oneof(fc.constantFrom(...tricky), codePoint), { maxLength: 14 }).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: fc.string({ unit: codePoint }) },
  {
    weight: 1,
    arbitrary: fc
      .array(
        fc.oneof(
          codePoint,
          fc.integer({ min: 0xd800, max: 0xdfff }).map((c) => String.fromCharCode(c)),
        ),
      )
      .map((parts) => parts.join('').replaceAll(/[\u{10000}-\u{10FFFF}]/gu, oldOrBlank)),
  },
);

/** Each lone surrogate as U+FFFD, which is what bytes can hold. */
export const wellFormed = (text: string): string => text.replaceAll(/\p{Cs}/gu, '\uFFFD');

/** The JavaScript around the C++ library loses a byte-order mark at the beginning of longer texts and behind a NUL. */
export const withoutMark = (text: string): string => text.replaceAll(/(^|\0)\uFEFF+/g, '$1');

const SHARED = '../shared/corpus';

/** Documents of the shared corpus; none where there is no such folder. */
export function* sharedCorpus(): Generator<string> {
  if (!existsSync(SHARED)) return;
  const files = readdirSync(SHARED, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.jsonl.gz'));
  for (const file of files.sort())
    for (const line of gunzipSync(readFileSync(join(SHARED, file)))
      .toString('utf8')
      .split('\n'))
      if (line) yield (JSON.parse(line) as { text: string }).text;
}

/** Beginnings of documents: of this project, and of some of the shared corpus. */
export function sampleTexts(): string[] {
  const own = ['README.md', 'docs/log.md', 'src/text/training/scripts.ts', 'package-lock.json'].map((f) =>
    readFileSync(f, 'utf8').slice(0, 20_000),
  );
  return [...own, ...[...sharedCorpus()].filter((_, i) => i % 100 === 0).map((text) => wellFormed(text.slice(0, 500)))];
}
