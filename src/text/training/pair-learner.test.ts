import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pairLearner } from './pair-learner.ts';

const words = fc.array(
  fc.tuple(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 5 })),
  {
    minLength: 1,
    maxLength: 10,
  },
);

/** Strings of letters by id; a string has one id, however it was built, and none holds `forbidden`. */
function strings(forbidden: string) {
  const texts = ['a', 'b', 'c', 'd'];
  return {
    joins: (left: number, right: number) => !(texts[left]! + texts[right]!).includes(forbidden),
    join(left: number, right: number) {
      const text = texts[left]! + texts[right]!;
      if (!texts.includes(text)) texts.push(text);
      return texts.indexOf(text);
    },
  };
}

test('every merge is of a pair that is as frequent as any, counted anew; it ends when none is frequent enough', () => {
  fc.assert(
    fc.property(words, fc.constantFrom('xx', 'ab', 'aa'), fc.integer({ min: 1, max: 3 }), (lists, forbidden, least) => {
      const lengths = Int32Array.from(lists, ([ids]) => ids.length);
      const starts = new Int32Array(lists.length + 1);
      lengths.forEach((n, w) => (starts[w + 1] = starts[w]! + n));
      const counts = Float64Array.from(lists, ([, n]) => n);
      const vocabulary = strings(forbidden);
      const next = pairLearner({ ids: Int32Array.from(lists.flatMap(([ids]) => ids)), starts, lengths, counts }, vocabulary, least);
      let live = lists.map(([ids, count]) => ({ ids, count }));
      for (let merge = next(); ; merge = next()) {
        const pairs = countPairs(live, vocabulary.joins);
        const most = Math.max(0, ...pairs.values());
        if (!merge) {
          expect(most).toBeLessThan(least);
          return;
        }
        const { left, right, into } = merge;
        expect(pairs.get(`${left},${right}`)).toBe(most);
        live = live.map(({ ids, count }) => ({ ids: merged(ids, { left, right, into }), count }));
      }
    }),
  );
});

/** Occurrences as neighbours; in a run of one id every two neighbours count. */
function countPairs(
  live: readonly { ids: readonly number[]; count: number }[],
  joins: (left: number, right: number) => boolean,
): Map<string, number> {
  const pairs = new Map<string, number>();
  for (const { ids, count } of live)
    for (let i = 0; i + 1 < ids.length; i++)
      if (joins(ids[i]!, ids[i + 1]!)) pairs.set(`${ids[i]},${ids[i + 1]}`, (pairs.get(`${ids[i]},${ids[i + 1]}`) ?? 0) + count);
  return pairs;
}

function merged(ids: readonly number[], { left, right, into }: { left: number; right: number; into: number }): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const here = ids[i] === left && ids[i + 1] === right;
    out.push(here ? into : ids[i]!);
    if (here) i++;
  }
  return out;
}
