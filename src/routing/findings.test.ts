import { describe, expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { analyse, type Findings, type RoutingRecord } from './index.ts';
import { late, recordOf, settles, tableRouter, tokenRouterAt, type RecordShape } from './synthetic.ts';
import { syntheticText } from './synthetic-text.ts';
import { together } from './verdict.ts';

const SHARES = [0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.35, 0.5, 1];
const SHAPE: RecordShape = { experts: 8, topK: 2, capacityFactor: 1, sequencesPerGroup: 1, priority: 'in order', heldOut: ['domain-2'] };
const text = syntheticText({ domains: 3, sequences: 8, length: 128, seed: 1 });
const how = { experts: 8, seed: 1 };
const records = SHARES.map((share): RoutingRecord => {
  const [one, two] = [settles(0.05, 1), late(0.9, 1)].map(
    (trajectory) => recordOf(text, tokenRouterAt(text, trajectory, share, how), { ...SHAPE, share }).layers[0]!,
  );
  return {
    ...recordOf(
      text,
      tableRouter(() => 0, how),
      { ...SHAPE, share },
    ),
    layers: [
      { ...one!, layer: 1 },
      { ...two!, layer: 3 },
    ],
  };
});
const notes = SHARES.map((share) => ({ loss: 8 - 4 * share, update: 0.1 }));
const findings: Findings = analyse(records, { seed: 7, notes, trainCapacity: 64 });
const [one, two, three] = findings.findings;

describe('findings of one run', () => {
  test('carry their ids, a verdict a layer, and a word for the model only where the layers agree', () => {
    expect(findings.findings.map(({ id }) => id)).toEqual([
      'context-independent-specialization',
      'early-routing-learning',
      'drop-towards-the-end',
    ]);
    expect(one).toMatchObject({ verdict: 'holds', token_over_domain: 'holds' });
    expect(two.layers.map(({ layer, verdict }) => [layer, verdict])).toEqual([
      [1, 'holds'],
      [3, 'fails'],
    ]);
    expect(two.verdict).toBe('layers differ');
    expect(three.verdict).toBe('holds');
  });

  test('are pure: the same records and seed give the same findings', () => {
    expect(analyse(records, { seed: 7, notes, trainCapacity: 64 })).toEqual(findings);
  });

  test('survive JSON unchanged', () => {
    expect(JSON.parse(JSON.stringify(findings))).toEqual(findings);
  });

  test('say what they stand on', () => {
    expect(findings.probe).toMatchObject({
      tokens: 3072,
      sequences: 24,
      groups: 24,
      blocks: 8,
      checkpoints: SHARES.map((share) => ({ share })),
    });
    expect(findings.probe.domains.map(({ domain, heldOut, sequences }) => [domain, heldOut, sequences])).toEqual([
      ['domain-0', false, 8],
      ['domain-1', false, 8],
      ['domain-2', true, 8],
    ]);
  });

  test('leave held-out domains to the shift', () => {
    expect(one.layers[0]!.first.gains.token.n).toBe(2048);
    expect(three.layers[0]!.shift!.n).toBe(24);
    const { ratio, curve } = three.layers[0]!.byGroup;
    expect(ratio.n).toBe(16);
    expect(curve.pooled.slots.reduce((a, b) => a + b, 0)).toBe(2 * 2048);
    expect(curve.domains.map(({ domain, heldOut }) => [domain, heldOut])).toEqual([
      ['domain-0', false],
      ['domain-1', false],
      ['domain-2', true],
    ]);
  });

  test('show the second choice beside the first, the loss beside the map, the training capacity beside the probe', () => {
    expect(one.layers[0]!.second!.rank).toBe(1);
    expect(two.loss).toEqual({ t50: [0.35, 0.5], t80: [0.5, 1] });
    expect(two.layers[0]!.points[3]).toMatchObject({ share: 0.04, loss: 7.84, update: 0.1 });
    expect(three.layers[0]!.atTrainCapacity!.capacity).toBe(64);
    expect(three.layers[0]!.atTrainCapacity!.drop.value).toBeLessThan(three.layers[0]!.drop.value);
  });

  test('hold for every layer the tables of the last checkpoint', () => {
    for (const { load, polygons, strongest, pooledPolygon } of findings.layers) {
      expect(load.balance.slots).toBe(6144);
      expect(polygons).toHaveLength(3);
      expect(strongest).toHaveLength(8);
      expect(pooledPolygon.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    }
  });
});

describe('bad input', () => {
  test('no record, no tokens, no layers', () => {
    for (const given of [[], [{ ...records[0]!, layers: [] }]]) expect(() => analyse(given, { seed: 1 })).toThrow(UserError);
  });

  test('a single checkpoint still has findings 1 and 3; learning is undecided', () => {
    const {
      findings: [first, second, third],
    } = analyse([records.at(-1)!], { seed: 1 });
    expect([first.verdict, second.verdict, third.verdict]).toEqual(['holds', 'undecided', 'holds']);
  });
});

test('layers that agree speak for the model', () => {
  expect(together(['holds', 'holds'])).toBe('holds');
  expect(together(['holds', 'undecided'])).toBe('layers differ');
});
