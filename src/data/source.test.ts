import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evenly, grouped, pieces, sampleTexts, type Source } from './source.ts';

const text = fc
  .array(fc.constantFrom('a', 'word ', 'line\n', 'paragraph\n\n', '😀', 'x'.repeat(30)), { maxLength: 200 })
  .map((p) => p.join(''));

test('pieces joined are the text, none much too long, no character cut in two', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 4, max: 100 }), (whole, size) => {
      const cuts = pieces(whole, size);
      expect(cuts.join('')).toBe(whole);
      for (const cut of cuts) {
        expect(cut.length).toBeGreaterThan(0);
        expect(cut.length).toBeLessThanOrEqual(1.5 * size);
        expect(cut).not.toMatch(/\p{Cs}/u);
      }
    }),
  );
});

test('a piece ends at a blank line where there is one', () => {
  expect(pieces('aaaa\naaa\n\nbbbb\nbbb\n\ncccc\n', 12)).toEqual(['aaaa\naaa\n\n', 'bbbb\nbbb\n\ncccc\n']);
});

test('groups joined are the texts, each but the last of at least that many bytes', () => {
  fc.assert(
    fc.property(fc.array(text), fc.integer({ min: 1, max: 500 }), (texts, bytes) => {
      const documents = [...grouped(texts, bytes)];
      expect(documents.join('')).toBe(texts.join(''));
      for (const d of documents.slice(0, -1)) expect(Buffer.byteLength(d)).toBeGreaterThanOrEqual(bytes);
    }),
  );
});

test('evenly keeps everything that fits, else about as much as asked from every part', () => {
  const texts = Array.from({ length: 1000 }, (_, i) => `${i}`.padEnd(80 + (i % 40), '.'));
  expect(evenly(texts, 1e9)).toEqual(texts);
  const kept = evenly(texts, 20_000);
  const size = kept.reduce((n, t) => n + t.length, 0);
  expect(Math.abs(size - 20_000)).toBeLessThan(120);
  for (const part of [0, 250, 500, 750])
    expect(kept.filter((t) => parseInt(t, 10) >= part && parseInt(t, 10) < part + 250).length / kept.length).toBeCloseTo(0.25, 1);
});

test('a sample gives each trained domain an equal share as far as it has that much, and held-out ones nothing', async () => {
  const sizes: Record<string, number> = { small: 10, large: 500, larger: 900, hidden: 500 };
  const source: Source = {
    name: 'test',
    domains: Object.keys(sizes).map((name) => ({ name, licence: '-', origin: '-', heldOut: name === 'hidden' })),
    async *documents() {
      for (const [domain, n] of Object.entries(sizes)) for (let i = 0; i < n; i++) yield { domain, text: domain.padEnd(100, '.') };
    },
  };
  const kept = await sampleTexts(source, 41_000);
  const share = (domain: string): number => kept.filter((t) => t.startsWith(`${domain}.`)).length;
  expect([share('small'), share('large'), share('larger'), share('hidden')]).toEqual([10, 200, 200, 0]);
});
