/** Load, step sums, polygons, strongest tokens and deviations on a record small enough to count by hand, and on a large one. */
import { describe, expect, test } from 'vitest';
import {
  balance,
  checkRecord,
  deviationByPosition,
  deviationByToken,
  entropyBits,
  layerLoad,
  meanRouterEntropy,
  polygons,
  strongestTokens,
  sumStep,
  type RoutingRecord,
} from './index.ts';
import { randomRouter, recordOf } from './synthetic.ts';
import { syntheticText } from './synthetic-text.ts';

/** Two sequences of two tokens, two domains, three experts, two choices. */
const tiny: RoutingRecord = {
  experts: 3,
  topK: 2,
  domains: ['a', 'b'],
  heldOut: ['b'],
  step: 1,
  share: 1,
  tokens: Int32Array.of(5, 6, 5, 7),
  sequence: Int32Array.of(0, 0, 1, 1),
  position: Int32Array.of(0, 1, 0, 1),
  domain: Int32Array.of(0, 0, 1, 1),
  group: Int32Array.of(0, 0, 1, 1),
  layers: [
    {
      layer: 3,
      capacity: 1,
      chosen: Int32Array.of(0, 1, 0, 1, 0, 1, 1, 0),
      gates: Float32Array.of(0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.75, 0.125),
      kept: Uint8Array.of(1, 1, 0, 0, 1, 0, 1, 0),
    },
  ],
};
const layer = tiny.layers[0]!;

describe('load', () => {
  test('counts choices by rank, kept slots, gates and dead experts', () => {
    expect(layerLoad(tiny, layer)).toMatchObject({
      layer: 3,
      tokens: 4,
      chosen: [
        [3, 1, 0],
        [1, 3, 0],
      ],
      kept: [2, 2, 0],
      gateMass: [1.625, 1.5, 0],
      dead: [2],
    });
  });

  test('balance is 1, log₂E bits and evenness 1 when even; E, 0 bits when one expert takes all', () => {
    expect(balance([5, 5, 5, 5])).toEqual({ heaviest: 1, bits: 2, evenness: 1, slots: 20 });
    expect(balance([20, 0, 0, 0])).toEqual({ heaviest: 4, bits: 0, evenness: 0, slots: 20 });
  });

  test('entropy does not depend on scale or on the names of experts', () => {
    expect(entropyBits([1, 2, 3])).toBeCloseTo(entropyBits([30, 10, 20]), 12);
  });
});

describe('sums of a training step', () => {
  const step = sumStep(layer.chosen, layer.gates, layer.kept, { experts: 3, topK: 2, buckets: 2, sequenceLength: 2 });

  test('agree with the record', () => {
    const { chosen, kept, gateMass } = layerLoad(tiny, layer);
    expect(step).toMatchObject({ load: chosen, kept, gateMass, dropped: 4, slotsByPosition: [4, 4], keptByPosition: [3, 1] });
    expect(step.loadEntropy).toBe(1);
  });

  test('are additive over steps', () => {
    const half = (from: number, to: number) =>
      sumStep(layer.chosen.slice(from, to), layer.gates.slice(from, to), layer.kept.slice(from, to), {
        experts: 3,
        topK: 2,
        buckets: 2,
        sequenceLength: 2,
      });
    expect(half(0, 4).dropped + half(4, 8).dropped).toBe(step.dropped);
    expect(half(0, 4).load[0]![0]! + half(4, 8).load[0]![0]!).toBe(step.load[0]![0]);
  });

  test('entropy of the mean router distribution is that of the mean, not the mean of entropies', () => {
    expect(meanRouterEntropy([1, 0, 0, 1], 2)).toBe(1);
    expect(meanRouterEntropy([1, 0, 1, 0], 2)).toBe(0);
  });
});

test('polygons share out kept slots of all ranks by domain', () => {
  expect(polygons(tiny, layer)).toMatchObject([
    { domain: 'a', heldOut: false, counts: [1, 1, 0], shares: [0.5, 0.5, 0], slots: 4, dropped: 2 },
    { domain: 'b', heldOut: true, counts: [1, 1, 0], slots: 4, dropped: 2 },
  ]);
});

test('strongest tokens are ranked by kept slots, ties by id', () => {
  expect(strongestTokens(tiny, layer, 2)).toEqual([
    [{ token: 5, count: 2, of: 3 }],
    [
      { token: 5, count: 1, of: 3 },
      { token: 7, count: 1, of: 1 },
    ],
    [],
  ]);
});

describe('deviation over experts', () => {
  test('counts kept slots at a position or of a token id', () => {
    expect(deviationByPosition(tiny, layer).map(({ at, n }) => [at, n])).toEqual([
      [0, 3],
      [1, 1],
    ]);
    expect(deviationByToken(tiny, layer).map(({ at, n }) => [at, n])).toEqual([
      [5, 3],
      [7, 1],
    ]);
  });

  test('of a blind router is the same-load value at every n', () => {
    const text = syntheticText({ domains: 2, sequences: 200, length: 32, seed: 1 });
    const record = recordOf(text, randomRouter({ experts: 16, seed: 1 }), {
      experts: 16,
      topK: 1,
      capacityFactor: 16,
      sequencesPerGroup: 1,
      priority: 'in order',
    });
    const found = deviationByPosition(record, record.layers[0]!);
    const rms = (key: 'value' | 'sameLoad'): number => Math.sqrt(found.reduce((sum, d) => sum + d[key] ** 2, 0) / found.length);
    expect(found.every(({ n }) => n === 400)).toBe(true);
    expect(Math.abs(rms('value') / rms('sameLoad') - 1)).toBeLessThan(0.05);
  });
});

describe('a record that contradicts itself is refused', () => {
  const broken: [string, Partial<RoutingRecord>, RegExp][] = [
    ['missing positions', { position: Int32Array.of(0) }, /1 values for 4 tokens/],
    ['an unknown held-out domain', { heldOut: ['c'] }, /unknown domain c/],
    ['a sequence in two domains', { domain: Int32Array.of(0, 1, 1, 1) }, /sequence 0 lies in two domains/],
    ['a scattered group', { group: Int32Array.of(0, 1, 0, 1) }, /not contiguous/],
    ['an expert that does not exist', { experts: 1 }, /expert 1 of 1/],
    ['missing slots', { layers: [{ ...layer, kept: layer.kept.slice(1) }] }, /7 values for 8 slots/],
  ];
  test.each(broken)('%s', (_, change, message) => {
    expect(() => checkRecord({ ...tiny, ...change })).toThrow(message);
  });
  test('and one that does not is accepted', () => expect(() => checkRecord(tiny)).not.toThrow());
});
