import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mix32 } from '../base/index.ts';
import { assign, type Placed, type Split } from './split.ts';

const alone = (n: number, domain = 0, heldOut = false): Placed[] =>
  Array.from({ length: n }, (_, i) => ({ domain, heldOut, hash: mix32(i + 1000 * domain), cluster: i }));
const number = (sides: readonly Split[], side: Split): number => sides.filter((s) => s === side).length;

test.each([
  [1, 1, 0, 0],
  [2, 1, 1, 0],
  [3, 1, 1, 1],
  [20, 14, 3, 3],
  [100, 70, 15, 15],
  [300, 244, 16, 40],
  [10_000, 9000, 500, 500],
])('%i documents: %i train, %i validation, %i probe', (n, train, validation, probe) => {
  const sides = assign(alone(n));
  expect([number(sides, 'train'), number(sides, 'validation'), number(sides, 'probe')]).toEqual([train, validation, probe]);
});

test('a document keeps its side wherever it stands and whatever other domains hold', () => {
  const documents = alone(200);
  const sides = assign(documents);
  const order = documents.map((_, i) => (i * 7) % 200);
  const moved = assign([
    ...order.map((i, at) => ({ ...documents[i]!, cluster: at })),
    ...alone(50, 1).map((d) => ({ ...d, cluster: d.cluster + 200 })),
  ]);
  order.forEach((i, at) => expect(moved[at]).toBe(sides[i]));
});

test('clusters stay whole, held-out domains and what resembles them are in the probe alone, every larger domain is trained on', () => {
  const placed = fc.array(fc.record({ domain: fc.nat(3), hash: fc.integer({ min: 0, max: 2 ** 32 - 1 }), joins: fc.nat() }), {
    minLength: 1,
    maxLength: 120,
  });
  fc.assert(
    fc.property(placed, (list) => {
      const documents: Placed[] = [];
      for (const [i, { domain, hash, joins }] of list.entries())
        documents.push({ domain, hash, heldOut: domain === 3, cluster: joins % 4 === 0 && i > 0 ? documents[joins % i]!.cluster : i });
      const sides = assign(documents);
      const tainted = new Set(documents.filter((d) => d.heldOut).map((d) => d.cluster));
      documents.forEach((d, i) => {
        expect(sides[i]).toBe(sides[d.cluster]);
        if (tainted.has(d.cluster)) expect(sides[i]).toBe('probe');
      });
      for (const domain of [0, 1, 2]) {
        const own = new Set(
          documents.filter((d) => documents[d.cluster]!.domain === domain && !tainted.has(d.cluster)).map((d) => d.cluster),
        );
        if (own.size > 0) expect([...own].some((c) => sides[c] === 'train')).toBe(true);
      }
    }),
  );
});
