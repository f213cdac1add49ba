import fc from 'fast-check';
import { expect, test } from 'vitest';
import { causal } from './causal.ts';
import { gather, pack, type Labelled, single } from './rows.ts';

const EOS = 1;
const documents = fc.array(fc.record({ ids: fc.array(fc.integer({ min: 2, max: 99 }), { maxLength: 30 }), domain: fc.nat(3) }), {
  minLength: 1,
  maxLength: 20,
});
const labelled = (list: readonly { ids: number[]; domain: number }[]): Labelled[] =>
  list.map(({ ids, domain }) => ({ example: causal(Int32Array.from(ids), EOS), domain }));
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test('every target is there once, in order, with its domain; the rest is padding of weight 0', () => {
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 16 }), (list, length) => {
      const rows = pack(labelled(list), { length, fullRowsOnly: false });
      const batch = gather(rows, all(rows.count));
      const want = list.flatMap(({ ids, domain }) => [...ids, EOS].map((id) => [id, domain]));
      expect(Array.from(batch.targets.slice(0, want.length), (t, i) => [t, batch.domains[i]])).toEqual(want);
      expect(Array.from(batch.weights)).toEqual(all(rows.count * length).map((i) => (i < want.length ? 1 : 0)));
      expect(rows.count * length - want.length).toBeLessThan(length);
      for (let i = 0; i < rows.count * length; i++) expect(batch.segments[i]! > 0).toBe(i < want.length);
    }),
  );
});

test('inputs are targets shifted right, 0 where a segment begins: at each document and at each row', () => {
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 16 }), (list, length) => {
      const rows = pack(labelled(list), { length, fullRowsOnly: false });
      const batch = gather(rows, all(rows.count));
      for (let i = 0; i < rows.count * length; i++) {
        if (batch.segments[i] === 0) continue;
        const begins = i % length === 0 || batch.targets[i - 1] === EOS;
        expect(batch.tokens[i]).toBe(begins ? 0 : batch.targets[i - 1]);
        expect(batch.segments[i]).toBe(i % length === 0 ? 1 : batch.segments[i - 1]! + (begins ? 1 : 0));
      }
    }),
  );
});

test('with full rows only, at most the last row is missing and nothing is padded', () => {
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 16 }), (list, length) => {
      const some = pack(labelled(list), { length, fullRowsOnly: true });
      const every = pack(labelled(list), { length, fullRowsOnly: false });
      expect(every.count - some.count).toBeLessThanOrEqual(1);
      expect(some.count).toBeGreaterThan(0);
      if (every.count > 1) expect(some.segments.every((s) => s > 0)).toBe(true);
      expect(some.targets).toEqual(every.targets.slice(0, some.targets.length));
    }),
  );
});

test('single rows hold one segment each and are not packed', () => {
  const batch = gather(
    single(
      [
        { targets: Int32Array.of(5, 6, 1), domain: 2 },
        { targets: Int32Array.of(7), domain: 0 },
      ],
      4,
    ),
    [0, 1],
  );
  expect(Array.from(batch.tokens)).toEqual([0, 5, 6, 0, 0, 0, 0, 0]);
  expect(Array.from(batch.targets)).toEqual([5, 6, 1, 0, 7, 0, 0, 0]);
  expect(Array.from(batch.segments)).toEqual([1, 1, 1, 0, 1, 0, 0, 0]);
  expect(Array.from(batch.domains)).toEqual([2, 2, 2, 2, 0, 0, 0, 0]);
});
