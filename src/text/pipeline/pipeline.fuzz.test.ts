import fc from 'fast-check';
import { Tokenizer as Official } from 'tokenizers';
import { describe, expect, test } from 'vitest';
import { anyText, goldenTokenizer, goldenTokenizers, sampleTexts, wellFormed } from '../../../test/tokenizer-texts.ts';
import { loadTokenizer } from '../index.ts';

const numRuns = Math.ceil(Number(process.env['FUZZ'] ?? 1000) / 8);
const texts = sampleTexts();

describe.each(goldenTokenizers('.json'))('%s', (name) => {
  const file = goldenTokenizer(name);
  const ours = loadTokenizer(file);
  const official = Official.fromString(new TextDecoder().decode(file));
  const same = async (text: string): Promise<void> => {
    const want = await official.encode(wellFormed(text), null, { addSpecialTokens: false });
    const ids = want.getIds();
    expect(ours.encode(text)).toEqual(ids);
    expect(ours.encodeWithOffsets(text)).toEqual({ ids, offsets: want.getOffsets() });
    expect(ours.decode(ids)).toBe(await official.decode(ids, true));
  };

  test('encodes documents with their offsets, and decodes them, as the official library', async () => {
    for (const text of texts) await same(text);
  });

  test('encodes any text with its offsets, and decodes it, as the official library', async () => {
    await fc.assert(fc.asyncProperty(anyText, same), { numRuns });
  });

  test('decodes any ids as the official library', async () => {
    // Added tokens may leave holes; the official decoder of word ends fails on no token at all.
    const ids = fc.array(fc.integer({ min: 0, max: ours.vocabSize - 1 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(ids, async (list) => {
        const kept = list.filter((id) => official.idToToken(id) !== null && ours.bytesOf(id).length > 0);
        if (kept.length > 0) expect(ours.decode(kept)).toBe(await official.decode(kept, true));
      }),
      { numRuns },
    );
  });

  test('a stream of ids gives the text of all', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = ours.encode(text);
        const stream = ours.streamDecoder();
        const streamed = ids.map((id) => stream.push(id)).join('') + stream.flush();
        expect(streamed).toBe(ours.decode(ids));
      }),
      { numRuns: Math.ceil(numRuns / 4) },
    );
  });

  test('puts around a text what the official library puts', async () => {
    const ids = (await official.encode('a text', null, { addSpecialTokens: true })).getIds();
    expect([...ours.template.before, ...ours.encode('a text'), ...ours.template.after]).toEqual(ids);
  });

  test('a word of a million letters is encoded as the official library does', async () => {
    const word = 'abcdefghij'.repeat(20_000) + '\u6F22'.repeat(5000) + 'a'.repeat(650_000);
    expect(ours.encode(word)).toEqual((await official.encode(word, null, { addSpecialTokens: false })).getIds());
  });
});

describe('words that are cut again', () => {
  const metaspace = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'first', split: true };
  const level = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };
  test.each([
    ['mark the first of a text', 'first.json', [{ type: 'WhitespaceSplit' }, metaspace]],
    ['are marked before', 'first.json', [metaspace, { type: 'Digits', individual_digits: true }]],
    ['are spelt in bytes before', 'roberta.json', [level, { type: 'Digits', individual_digits: false }]],
    ['are spelt in bytes after', 'roberta.json', [{ type: 'Whitespace' }, level]],
  ])('%s', async (_, name, pretokenizers) => {
    const golden = JSON.parse(new TextDecoder().decode(goldenTokenizer(name))) as object;
    const file = JSON.stringify({ ...golden, pre_tokenizer: { type: 'Sequence', pretokenizers } });
    const [ours, official] = [loadTokenizer(new TextEncoder().encode(file)), Official.fromString(file)];
    const same = async (text: string): Promise<void> => {
      const want = text === '' ? [] : (await official.encode(wellFormed(text), null, { addSpecialTokens: false })).getIds();
      expect(ours.encode(text)).toEqual(want);
    };
    for (const text of [...texts, 'a a a', ' a a', '\uFE49a', '1a 1a 1a']) await same(text);
    await fc.assert(fc.asyncProperty(anyText, same), { numRuns });
  });
});
