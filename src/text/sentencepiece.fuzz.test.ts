import fc from 'fast-check';
import { createRequire } from 'node:module';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anyText, goldenTokenizer, goldenTokenizers, sampleTexts, wellFormed, withoutMark } from '../../test/tokenizer-texts.ts';
import { loadSentencePiece, loadTokenizer, loadUmt5, type Tokenizer } from './index.ts';
import { fields } from './protobuf.ts';
import { PIECE } from './sentencepiece-model.ts';

interface Official {
  load(file: string): Promise<void>;
  encodeIds(text: string): number[];
  decodeIds(ids: number[]): string;
}
const { SentencePieceProcessor } = createRequire(import.meta.url)('@agnai/sentencepiece-js') as {
  SentencePieceProcessor: new () => Official;
};
const numRuns = Math.ceil(Number(process.env['FUZZ'] ?? 1000) / 8);
const texts = sampleTexts();

describe.each(goldenTokenizers('.model'))('%s', (name) => {
  let ours: Tokenizer;
  const official = new SentencePieceProcessor();
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-sentencepiece-'));
  beforeAll(async () => {
    const file = goldenTokenizer(name);
    writeFileSync(join(folder, 'model'), file);
    await official.load(join(folder, 'model'));
    ours = loadSentencePiece(file);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('encodes and decodes documents as the C++ library', () => {
    for (const line of texts.flatMap((text) => text.split('\n'))) {
      const ids = official.encodeIds(line);
      expect(ours.encode(line), line).toEqual(ids);
      expect(withoutMark(ours.decode(ids))).toBe(withoutMark(official.decodeIds(ids)));
    }
  });

  test('encodes and decodes any text as the C++ library', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = official.encodeIds(wellFormed(text));
        expect(ours.encode(text)).toEqual(ids);
        expect(withoutMark(ours.decode(ids))).toBe(withoutMark(official.decodeIds(ids)));
      }),
      { numRuns },
    );
  });

  test('decodes any ids as the C++ library, and streams the same', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: ours.vocabSize - 1 }), { maxLength: 12 }), (ids) => {
        const text = withoutMark(official.decodeIds(ids));
        expect(withoutMark(ours.decode(ids))).toBe(text);
        const stream = ours.streamDecoder();
        expect(withoutMark(ids.map((id) => stream.push(id)).join('') + stream.flush())).toBe(text);
      }),
      { numRuns },
    );
  });

  test('offsets cover the text in order', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { ids, offsets } = ours.encodeWithOffsets(text);
        expect(ids).toEqual(ours.encode(text));
        expect(offsets.length).toBe(ids.length);
        const points = Array.from(wellFormed(text)).length;
        let before = 0;
        for (const [start, end] of offsets) {
          expect(start).toBeGreaterThanOrEqual(before);
          expect(end).toBeGreaterThanOrEqual(start);
          expect(end).toBeLessThanOrEqual(points);
          before = start;
        }
      }),
      { numRuns },
    );
  });

  test('a word of a million letters is encoded as the C++ library does', () => {
    const word = 'abcdefghij'.repeat(20_000) + '\u6F22'.repeat(50_000) + 'a'.repeat(650_000);
    expect(ours.encode(word)).toEqual(official.encodeIds(word));
  });
});

/** The file with every third of its longer pieces marked as unused. */
function withUnused(file: Uint8Array): Uint8Array {
  let n = 0;
  const parts = [...fields(file)].flatMap((field) => {
    if (field.wire !== 'bytes') throw new Error('all fields of a model are messages');
    const long = field.number === 1 && field.value.length > 9 && field.value.at(-2) !== 0x18;
    const value = long && n++ % 3 === 0 ? [...field.value, 0x18, PIECE.unused] : [...field.value];
    const length: number[] = [];
    for (let rest = value.length; ; rest = Math.floor(rest / 128)) {
      length.push((rest % 128) | (rest > 127 ? 128 : 0));
      if (rest < 128) break;
    }
    return [(field.number << 3) | 2, ...length, ...value];
  });
  return Uint8Array.from(parts);
}

test.each(['bpe-identity.model', 'unigram-identity.model'])('%s with unused pieces encodes as the C++ library', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-sentencepiece-'));
  const file = withUnused(goldenTokenizer(name));
  writeFileSync(join(folder, 'model'), file);
  const official = new SentencePieceProcessor();
  await official.load(join(folder, 'model'));
  const ours = loadSentencePiece(file);
  expect(ours.encode(texts[0]!)).not.toEqual(loadSentencePiece(goldenTokenizer(name)).encode(texts[0]!));
  for (const text of texts) expect(ours.encode(text)).toEqual(official.encodeIds(text));
  rmSync(folder, { recursive: true });
});

test('sums of scores are f32: a long text is cut as the C++ library cuts it', async () => {
  const name = 'unigram-identity.model';
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-sentencepiece-'));
  writeFileSync(join(folder, 'model'), goldenTokenizer(name));
  const official = new SentencePieceProcessor();
  await official.load(join(folder, 'model'));
  const text = readFileSync('package-lock.json', 'utf8').replaceAll('\n', ' ');
  expect(loadTokenizer(goldenTokenizer(name)).encode(text)).toEqual(official.encodeIds(text));
  rmSync(folder, { recursive: true });
});

describe('the tokenizer of OpenMoE', () => {
  const file = new Uint8Array(readFileSync('test/goldens/tokenizers/umt5/tiny.spm'));
  const want = JSON.parse(readFileSync('test/goldens/tokenizers/umt5/sentencepiece.json', 'utf8')) as {
    vocab_size: number;
    eos_id: number;
    texts: { text: string; ids: number[]; decoded: string }[];
    last_pieces: Record<string, string>;
  };
  const tokenizer = loadUmt5(file);

  test('has sentinels behind its pieces, in reverse', () => {
    expect(tokenizer.vocabSize).toBe(want.vocab_size);
    expect(tokenizer.tableRows % 128).toBe(0);
    expect([tokenizer.bos, tokenizer.eos]).toEqual([0, want.eos_id]);
    expect(tokenizer.sentinel(0)).toBe(want.vocab_size - 1);
    for (const [id, piece] of Object.entries(want.last_pieces))
      expect(`\u2581${tokenizer.pieceOf(Number(id)).trimStart()}`.replace('\u2423', '')).toBe(piece);
  });

  test.each(want.texts)('encodes $text', ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });
});
