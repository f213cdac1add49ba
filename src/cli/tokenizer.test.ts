/** openmoe tokenizer: training and comparison as they are called. */
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as Official } from 'tokenizers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSentencePiece } from '../text/index.ts';
import { call, writeTexts } from './fake-host.ts';

const root = mkdtempSync(join(tmpdir(), 'openmoe-tokenizer-'));
const texts = join(root, 'texts');
const at = (name: string): string => join(root, name);
const SENTENCE = 'the router sends each token to two experts';

beforeAll(() => {
  writeTexts(texts);
  writeFileSync(at('news.de.txt'), 'Der Router schickt jedes Token zu zwei Experten.\nUnd sie antworten beide.\n'.repeat(20));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const document = (out: string): Record<string, unknown> => JSON.parse(out) as Record<string, unknown>;

describe('train', () => {
  test.each(['unigram', 'bpe'] as const)('%s writes a .model and a tokenizer.json that encode alike', async (kind) => {
    const [model, json] = [at(`${kind}.model`), at(`${kind}.json`)];
    const called = await call([
      'tokenizer',
      'train',
      texts,
      '--kind',
      kind,
      '--vocab',
      '300',
      '--byte-fallback',
      '--out',
      model,
      '--out',
      json,
      '--json',
    ]);
    expect(called).toMatchObject({ exit: 0 });
    expect(document(called.out)).toMatchObject({
      schema: 'openmoe.tokenizer-train/1',
      file: model,
      files: [model, json],
      kind,
      pieces: 300,
      skipped: 0,
    });
    const ids = loadSentencePiece(readFileSync(model)).encode(SENTENCE);
    const official = await Official.fromFile(json).encode(SENTENCE, null, { addSpecialTokens: false });
    expect(official.getIds()).toEqual(ids);
    expect(ids.length).toBeLessThan(SENTENCE.length);
    expect((await call(['tokenizer', 'encode', model, SENTENCE])).out).toBe(`${ids.join(' ')}\n`);
  });

  test('takes one file, and options by the names of SentencePiece', async () => {
    const out = at('digits.model');
    const options =
      '--split-digits --add-dummy-prefix false --unk-id 1 --bos-id -1 --eos-id 2 --pad-id 0 --pad-piece [PAD] --hard-vocab-limit=false';
    const symbols = ['--control-symbols', '<a>,<b>', '--user-defined-symbols', '<sep>', '--user-defined-symbols', '<cls>'];
    const argv = [
      'tokenizer',
      'train',
      at('news.de.txt'),
      '--kind',
      'unigram',
      '--vocab',
      '200',
      '--character-coverage',
      '1',
      ...options.split(' '),
      ...symbols,
    ];
    expect(await call([...argv, '--out', out])).toMatchObject({ exit: 0 });
    const tokenizer = loadSentencePiece(readFileSync(out));
    expect([0, 1, 2, 3, 4, 5, 6].map((id) => tokenizer.pieceOf(id))).toEqual(['[PAD]', '<unk>', '</s>', '<a>', '<b>', '<sep>', '<cls>']);
    expect(tokenizer.encode('<sep>')).toEqual([5]);
  });

  test('passes over lines that are too long, and says how many', async () => {
    writeFileSync(at('long.txt'), `${'a b '.repeat(100)}\n${'short lines\n'.repeat(30)}`);
    const argv = [
      'tokenizer',
      'train',
      at('long.txt'),
      '--kind',
      'bpe',
      '--vocab',
      '30',
      '--max-sentence-length',
      '50',
      '--out',
      at('long.json'),
    ];
    const { exit, err } = await call([...argv, '--hard-vocab-limit', 'false']);
    expect(exit).toBe(0);
    expect(err).toContain('1 of 31 lines were passed over: longer than 50 bytes');
  });

  test('reports its progress as events', async () => {
    const { out } = await call(['tokenizer', 'train', texts, '--kind', 'unigram', '--vocab', '40', '--out', at('events.json'), '--jsonl']);
    const events = out.trim().split('\n').map(document);
    expect(events.filter(({ event }) => event === 'progress').length).toBeGreaterThan(1);
    expect(events.at(-1)).toMatchObject({ schema: 'openmoe.tokenizer-train/1' });
  });

  test.each([
    ['an option that the kind has not', ['--split-digits'], 2, 'byte-level BPE has no such option · at --split-digits'],
    ['a .model of a byte-level BPE', ['--out', 'x.model'], 2, 'a byte-level BPE is written as .json'],
    ['another ending', ['--kind', 'bpe', '--out', 'x.txt'], 2, 'neither .json nor .model'],
    ['a vocabulary too small for the alphabet', ['--kind', 'unigram', '--vocab', '10'], 2, 'the alphabet alone has'],
    ['a vocabulary too large for the text', ['--kind', 'unigram', '--vocab', '100k'], 2, 'the text gives'],
    ['two specials of one id', ['--kind', 'bpe', '--bos-id', '0'], 2, 'bos and <unk> have one id, 0'],
    ['an id beyond the vocabulary', ['--kind', 'bpe', '--vocab', '100', '--eos-id', '100'], 2, 'beyond the vocabulary of 100 pieces'],
    ['a symbol that is there twice', ['--kind', 'bpe', '--user-defined-symbols', 'x,x'], 2, '"x" cannot be a symbol'],
    ['a switch before a word that is not for it', ['--kind', 'bpe', '--byte-fallback', 'x'], 2, 'write --byte-fallback true x'],
    ['a share out of range', ['--kind', 'bpe', '--character-coverage', '0.5'], 2, 'at --character-coverage'],
    ['an unknown normalization', ['--kind', 'bpe', '--normalization-rule-name', 'nfc'], 2, 'nfc is not one of'],
    ['words that end with their blank, as tokenizer.json', ['--kind', 'bpe', '--treat-whitespace-as-suffix'], 2, 'write a .model instead'],
  ])('%s is refused', async (_, argv, exit, message) => {
    const out = argv.includes('--out') ? [] : ['--out', at('refused.json')];
    const called = await call(['tokenizer', 'train', texts, ...argv, ...out]);
    expect(called.exit).toBe(exit);
    expect(called.err).toContain(message);
    expect(existsSync(at('refused.json'))).toBe(false);
  });

  test('nothing to train on is an error', async () => {
    writeFileSync(at('empty.txt'), `${'x'.repeat(5000)}\n`);
    expect(await call(['tokenizer', 'train', at('empty.txt'), '--kind', 'bpe', '--out', at('none.json')])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('all 1 lines are passed over') as string,
    });
    expect(await call(['tokenizer', 'train', at('nowhere'), '--kind', 'bpe', '--out', at('none.json')])).toMatchObject({ exit: 3 });
  });

  test('Ctrl-C ends it without a file', async () => {
    const signals = new EventEmitter();
    const out = at('stopped.model');
    const running = call(['tokenizer', 'train', 'starter', '--kind', 'unigram', '--out', out], { signals });
    setTimeout(() => signals.emit('SIGINT', 'SIGINT'), 300);
    expect(await running).toMatchObject({ exit: 130 });
    expect(existsSync(out)).toBe(false);
  });
});

describe('compare', () => {
  const compare = (...argv: string[]) => call(['tokenizer', 'compare', ...argv]);

  beforeAll(async () => {
    expect(
      await call(['tokenizer', 'train', texts, '--kind', 'unigram', '--vocab', '300', '--byte-fallback', '--out', at('fall.model')]),
    ).toMatchObject({ exit: 0 });
    expect(await call(['tokenizer', 'train', texts, '--kind', 'bpe', '--vocab', '40', '--out', at('plain.model')])).toMatchObject({
      exit: 0,
    });
  });

  test('counts bytes, words and tokens by domain and language', async () => {
    mkdirSync(at('mixed'), { recursive: true });
    writeFileSync(
      at('mixed/pages.jsonl'),
      [
        { text: 'two experts', domain: 'web', lang: 'en' },
        { text: 'zwei Ñ', domain: 'web', lang: 'de' },
      ]
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
    const { exit, out } = await compare(at('fall.model'), at('plain.model'), '--on', at('mixed'), at('news.de.txt'), '--json');
    expect(exit).toBe(0);
    const { schema, rows, tokenizers } = document(out) as {
      schema: string;
      rows: Record<string, number>[];
      tokenizers: Record<string, number>[];
    };
    expect(schema).toBe('openmoe.tokenizer-compare/1');
    expect(rows.map(({ domain, language }) => [domain, language])).toEqual([
      ['news.de', 'de'],
      ['news.de', 'de'],
      ['web', 'de'],
      ['web', 'de'],
      ['web', 'en'],
      ['web', 'en'],
    ]);
    const [fall, plain] = rows.filter(({ domain, language }) => `${domain} ${language}` === 'web de');
    const ids = loadSentencePiece(readFileSync(at('fall.model'))).encode('zwei Ñ');
    expect(fall).toMatchObject({
      documents: 1,
      bytes: 7,
      words: 2,
      tokens: ids.length,
      bytes_per_token: 7 / ids.length,
      tokens_per_word: ids.length / 2,
      unknown_rate: 0,
    });
    // Ñ is two bytes, z is one: neither is in the alphabet.
    expect(fall!['byte_fallback_rate']! * ids.length).toBeCloseTo(3);
    expect(plain!['unknown_rate']).toBeGreaterThan(0);
    expect(plain!['byte_fallback_rate']).toBe(0);
    for (const { pieces, used, share_used } of tokenizers) expect(share_used).toBe(used! / pieces!);
  });

  test('draws a chart, with its numbers beside it', async () => {
    const svg = at('chart.svg');
    const { exit, out } = await compare(at('fall.model'), '--on', texts, '--chart', svg);
    expect(exit).toBe(0);
    expect(out).toContain('bytes/token');
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg /);
    expect(readFileSync(at('chart.csv'), 'utf8').split('\n')[0]).toContain('tokenizer,domain,language,documents,bytes');
  });

  test.each([
    ['no tokenizer', ['--on', texts], 'which tokenizers?'],
    ['no text', [at('fall.model')], 'on which texts?'],
    ['one tokenizer twice', [at('fall.model'), at('fall.model'), '--on', texts], 'is there twice'],
    ['a picture that is none', [at('fall.model'), '--on', texts, '--chart', 'x.png'], 'does not end in .svg'],
  ])('%s is refused', async (_, argv, message) => {
    expect(await compare(...argv)).toMatchObject({ exit: 2, err: expect.stringContaining(message) as string });
  });

  test('a tokenizer that is not there, and one that is damaged', async () => {
    expect(await compare(at('none.model'), '--on', texts)).toMatchObject({ exit: 3, err: expect.stringContaining('none.model') as string });
    writeFileSync(at('damaged.model'), 'no protocol buffer');
    expect(await compare(at('damaged.model'), '--on', texts)).toMatchObject({
      exit: 4,
      err: expect.stringContaining('damaged.model') as string,
    });
  });
});
