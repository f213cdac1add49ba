import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readCharsmap } from './charsmap.ts';
import { buildDoubleArray } from './double-array.ts';

const key = fc.uint8Array({ min: 1, minLength: 1, maxLength: 6 });
const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

/** A normalization map whose values are places in `texts`. */
function mapOf(units: Uint32Array, texts: Uint8Array): Uint8Array {
  const map = new Uint8Array(4 + 4 * units.length + texts.length);
  const view = new DataView(map.buffer);
  view.setUint32(0, 4 * units.length, true);
  units.forEach((unit, i) => view.setUint32(4 + 4 * i, unit, true));
  map.set(texts, 4 + 4 * units.length);
  return map;
}

test('the longest key that begins a text is found, with its value, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { minLength: 1, maxLength: 300, selector: (k) => k.join() }),
      fc.array(key, { maxLength: 50 }),
      (keys, others) => {
        const sorted = keys.toSorted(compare);
        // Value n begins where n texts of one character and a zero byte end.
        const texts = Uint8Array.from({ length: 2 * sorted.length }, (_, i) => (i % 2 === 0 ? 0x61 : 0));
        const map = readCharsmap(
          mapOf(
            buildDoubleArray(
              sorted,
              sorted.map((_, i) => 2 * i),
            ),
            texts,
          ),
        );
        for (const text of [...keys, ...others, ...keys.map((k, i) => Uint8Array.of(...k, ...(others[i] ?? [])))]) {
          const begins = sorted.map((k, i) => ({ k, i })).filter(({ k }) => compare(k, text.subarray(0, k.length)) === 0);
          const longest = begins.reduce((a, b) => (b.k.length > a.k.length ? b : a), { k: new Uint8Array(0), i: -1 });
          expect(map.match(text, 0, text.length)).toBe(longest.k.length);
          if (longest.i >= 0) expect(map.from).toBe(2 * longest.i);
        }
      },
    ),
  );
});

test('nodes from which everything goes on alike share their children: a hundred prefixes of one tail take little more than one', () => {
  const tail = Array.from({ length: 50 }, (_, i) => 1 + i);
  const one = buildDoubleArray([Uint8Array.from([1, 1, ...tail])], [0]);
  const keys = Array.from({ length: 100 }, (_, i) => Uint8Array.from([1 + i, 1, ...tail]));
  expect(
    buildDoubleArray(
      keys,
      keys.map(() => 0),
    ).length,
  ).toBeLessThan(one.length + 512);
});
