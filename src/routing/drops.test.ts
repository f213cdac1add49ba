import { describe, expect, test } from 'vitest';
import { drops, places } from './drops.ts';
import { groupSpans, type RoutingRecord } from './record.ts';
import { atCapacity, replayInOrder } from './replay.ts';
import { randomRouter, recordOf, tableRouter } from './synthetic.ts';
import { syntheticText } from './synthetic-text.ts';

const text = syntheticText({ domains: 2, sequences: 8, length: 64, seed: 1 });
const record = recordOf(
  text,
  tableRouter((n) => text.tokens[n]!, { experts: 8, seed: 1 }, 1),
  {
    experts: 8,
    topK: 2,
    capacityFactor: 1,
    sequencesPerGroup: 2,
    priority: 'in order',
  },
);
const layer = record.layers[0]!;
const spans = groupSpans(record);
const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

describe('drop curves', () => {
  test.each(['group', 'sequence'] as const)('by %s: ranks, domains and the pooled curve count the same slots', (axis) => {
    const { pooled, ranks, domains } = drops(record, layer, { spans, axis, bins: 8, seed: 1 });
    const dropped = layer.kept.filter((kept) => !kept).length;
    expect(dropped).toBeGreaterThan(100);
    for (const curves of [[pooled], ranks, domains]) {
      expect(sum(curves.flatMap((curve) => curve.slots))).toBe(layer.chosen.length);
      expect(sum(curves.flatMap((curve) => curve.dropped))).toBe(dropped);
    }
    pooled.drop.forEach(({ value, low, high, n }, bin) => {
      expect(value).toBe(pooled.dropped[bin]! / pooled.slots[bin]!);
      expect(n).toBe(pooled.slots[bin]);
      expect(low).toBeLessThanOrEqual(value);
      expect(high).toBeGreaterThanOrEqual(value);
    });
  });

  test('second choices queue behind all first choices, so they are dropped more often', () => {
    const even = recordOf(text, randomRouter({ experts: 8, seed: 1 }), {
      experts: 8,
      topK: 2,
      capacityFactor: 1,
      sequencesPerGroup: 2,
      priority: 'in order',
    });
    const [first, second] = drops(even, even.layers[0]!, { spans, axis: 'group', bins: 1, seed: 1 }).ranks;
    expect(second!.dropped[0]!).toBeGreaterThan(2 * first!.dropped[0]!);
  });

  test('positions of group and sequence differ when a group holds several sequences', () => {
    const [byGroup, bySequence] = [places(record, spans, 'group'), places(record, spans, 'sequence')];
    expect([byGroup[0], byGroup[64], byGroup[127]]).toEqual([0, 0.5, 127 / 128]);
    expect([bySequence[0], bySequence[64], bySequence[127]]).toEqual([0, 0, 63 / 64]);
  });
});

describe('replay', () => {
  test('keeps the first C slots of an expert: all first choices in order, then all second choices', () => {
    const chosen = Int32Array.of(0, 1, 0, 1, 1, 0); // three tokens, two choices
    const kept = replayInOrder(chosen, [{ start: 0, end: 3 }], { experts: 2, topK: 2, capacity: 2 });
    expect([...kept]).toEqual([1, 1, 1, 0, 1, 0]);
  });

  test('groups do not share capacity', () => {
    const chosen = Int32Array.of(0, 0, 0, 0);
    const kept = replayInOrder(
      chosen,
      [
        { start: 0, end: 2 },
        { start: 2, end: 4 },
      ],
      { experts: 1, topK: 1, capacity: 1 },
    );
    expect([...kept]).toEqual([1, 0, 1, 0]);
  });

  test('more capacity never drops a kept slot', () => {
    const roomier = atCapacity(layer, spans, { experts: 8, topK: 2, capacity: layer.capacity + 3 });
    layer.kept.forEach((kept, slot) => expect(roomier.kept[slot]).toBeGreaterThanOrEqual(kept));
    expect(roomier.capacity).toBe(layer.capacity + 3);
  });
});

test('groups are found as contiguous rows', () => {
  const of = (group: number[]): [number, number][] =>
    groupSpans({ group: Int32Array.from(group) } as RoutingRecord).map(({ start, end }) => [start, end]);
  expect(of([7, 7, 3, 3, 3, 9])).toEqual([
    [0, 2],
    [2, 5],
    [5, 6],
  ]);
  expect(of([])).toEqual([]);
});
