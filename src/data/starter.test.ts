import { beforeAll, expect, test } from 'vitest';
import { type Document, starterCorpus } from './index.ts';
import { untag } from './starter/brown.ts';
import { entry } from './starter/wordnet.ts';

const source = starterCorpus();
const texts = new Map<string, string[]>();
beforeAll(async () => {
  for await (const { domain, text } of source.documents()) texts.set(domain, [...(texts.get(domain) ?? []), text]);
});
const bytes = (domain: string): number => texts.get(domain)!.reduce((n, t) => n + Buffer.byteLength(t), 0);
/** A match with what stands around it. */
const found = (domain: string, pattern: RegExp): string | undefined =>
  texts
    .get(domain)!
    .map((t) => new RegExp(`.{0,30}(${pattern.source}).{0,30}`, pattern.flags).exec(t)?.[0])
    .find(Boolean);

test('ten trained domains and two held out, each with origin, version and licence, each with text enough for 32 sequences of a probe', () => {
  expect(source.domains.map((d) => d.name)).toEqual([...texts.keys()]);
  expect(source.domains.filter((d) => d.heldOut).map((d) => d.name)).toEqual(['turkish', 'dialogue']);
  expect(source.domains.length).toBe(12);
  for (const d of source.domains) {
    expect(d.origin).toMatch(/^npm (@?[\w./-]+@\d+\.\d+\.\d+(, npm )?)+$/);
    expect(d.licence).not.toBe('');
    expect(bytes(d.name), d.name).toBeGreaterThan(150_000);
    if (!d.heldOut) expect(texts.get(d.name)!.length, d.name).toBeGreaterThanOrEqual(180);
  }
  const total = source.domains.reduce((n, d) => n + bytes(d.name), 0);
  expect(total).toBeGreaterThan(15e6);
  expect(total).toBeLessThan(25e6);
});

test('documents are clean: no tags, no markup, no control characters, none empty', () => {
  for (const [domain, list] of texts) {
    expect(found(domain, /(?![\t\n\r\f])\p{Cc}|\uFFFD/u), domain).toBeUndefined();
    expect(
      list.every((t) => t.trim()),
      domain,
    ).toBe(true);
  }
  for (const domain of ['prose', 'dialogue']) expect(found(domain, /\w\/(nn|vb|jj|at)\b|``|''/), domain).toBeUndefined();
  for (const domain of ['german', 'russian', 'japanese', 'chinese', 'turkish'])
    expect(found(domain, /<\/?p>|&amp;|_\d{4,5}"/), domain).toBeUndefined();
});

test('each language is written in its script', () => {
  const share = (domain: string, script: RegExp): number =>
    (texts.get(domain)!.join('').match(script)?.length ?? 0) / texts.get(domain)!.join('').length;
  expect(share('russian', /\p{Script=Cyrillic}/gu)).toBeGreaterThan(0.5);
  expect(share('japanese', /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/gu)).toBeGreaterThan(0.5);
  expect(share('chinese', /\p{Script=Han}/gu)).toBeGreaterThan(0.5);
  expect(share('german', /[äöüß]/g)).toBeGreaterThan(0.005);
  expect(share('turkish', /[ışğçİ]/g)).toBeGreaterThan(0.03);
});

test('the same documents come in the same order again', async () => {
  const again: Document[] = [];
  for await (const d of source.documents()) again.push(d);
  expect(again.map((d) => d.text)).toEqual([...texts.values()].flat());
});

test('the Brown corpus reads as print', () => {
  const tagged = [
    "\tHe/pps said/vbd :/: ``/`` Is/bez it/pps (/( 3,000/cd )/) ?/. ?/. Mr./np Smith/np Jr./np ./.\n--/-- **zg/nn Yes/rb '/' no/at '/' ''/'' ,/, and/cc\nor/cc ./.",
    '\tNext/ap ,/, and/or/cc ./.',
  ].join('\n\n\n');
  expect(untag(tagged)).toBe('He said: "Is it (3,000)? Mr. Smith Jr. -- Yes \'no\'", and or.\n\nNext, and/or.');
});

test('a WordNet line becomes an entry, a line of its licence nothing', () => {
  expect(
    entry(
      '02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 023 @ 02083346 n 0000 | a member of the genus; "the dog barked"  ',
      'noun',
    ),
  ).toBe('dog, domestic dog, Canis familiaris (noun): a member of the genus; "the dog barked"\n');
  expect(entry('00004171 00 a 02 aborning(a) 0 nascent(ip) 0 000 | being born', 'adjective')).toBe(
    'aborning, nascent (adjective): being born\n',
  );
  expect(entry('  1 This software and database is being provided | to you', 'noun')).toBe('');
});
