import { describe, expect, test } from 'vitest';
import { dropTowardsTheEnd, type DropLayer } from './drop-towards-the-end.ts';
import { drifting, recordOf, tableRouter, type RecordShape, type Router } from './synthetic.ts';
import { syntheticText, type Text, type TextShape } from './synthetic-text.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 20);
const E = 16;
const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1);
const EIGHT_GROUPS = { domains: 4, sequences: 2, length: 1024 };
const IN_ORDER: RecordShape = { experts: E, topK: 2, capacityFactor: 1.25, sequencesPerGroup: 1, priority: 'in order' };

/** A token router with loads uneven enough to overflow a capacity factor of 4. */
const uneven = (text: Text, seed: number): Router => tableRouter((n) => text.tokens[n]!, { experts: E, seed }, 2.5);
const wandering = (text: Text, seed: number): Router =>
  drifting(
    tableRouter((n) => text.tokens[n]!, { experts: E, seed }),
    (n) => text.position[n]! / EIGHT_GROUPS.length,
    { experts: E, seed },
  );

const judged = (
  size: Omit<TextShape, 'seed'>,
  router: (text: Text, seed: number) => Router,
  shape: RecordShape,
  seed: number,
): DropLayer => {
  const text = syntheticText({ ...size, seed });
  const record = recordOf(text, router(text, seed), shape);
  return dropTowardsTheEnd(record, record.layers[0]!, seed);
};
const shareOf = (layers: readonly DropLayer[], is: (layer: DropLayer) => boolean): number => layers.filter(is).length / layers.length;
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

describe(`drop-towards-the-end (${SEEDS} seeds)`, () => {
  test.each([1.25, 2, 4])('filled in order at capacity factor %d it holds, by order for a position-blind router', (capacityFactor) => {
    const layers = seeds.map((seed) => judged(EIGHT_GROUPS, uneven, { ...IN_ORDER, capacityFactor }, seed));
    expect(shareOf(layers, ({ verdict }) => verdict === 'holds')).toBeGreaterThanOrEqual(0.95);
    expect(shareOf(layers, ({ byGroup: { cause } }) => cause === 'by order')).toBeGreaterThanOrEqual(0.7);
    expect(shareOf(layers, ({ replayed }) => replayed === 1)).toBe(1);
  });

  test('routes that drift towards few experts: by order and demand', () => {
    const layers = seeds.map((seed) => judged(EIGHT_GROUPS, wandering, IN_ORDER, seed));
    expect(shareOf(layers, ({ byGroup: { cause } }) => cause === 'by order and demand')).toBeGreaterThanOrEqual(0.95);
  });

  test.each([
    ['blind', uneven],
    ['drifting', wandering],
  ] as const)('in random priority it fails (%s routes)', (_, router) => {
    const layers = seeds.map((seed) => judged(EIGHT_GROUPS, router, { ...IN_ORDER, priority: { random: seed } }, seed));
    expect(shareOf(layers, ({ verdict }) => verdict === 'fails')).toBeGreaterThanOrEqual(0.95);
    expect(Math.abs(mean(layers.map(({ byGroup: { order } }) => order.value)) - 1)).toBeLessThan(0.05);
    expect(shareOf(layers, ({ replayed }) => replayed < 1)).toBe(1);
  });

  test('eight sequences a group: it holds by group and fails by position in the sequence', () => {
    const layers = seeds.map((seed) =>
      judged({ domains: 4, sequences: 16, length: 128 }, uneven, { ...IN_ORDER, sequencesPerGroup: 8 }, seed),
    );
    expect(shareOf(layers, ({ byGroup }) => byGroup.verdict === 'holds')).toBeGreaterThanOrEqual(0.95);
    expect(shareOf(layers, ({ bySequence }) => bySequence.verdict === 'fails')).toBeGreaterThanOrEqual(0.8);
  });

  test('drift of routes without drift is 1', () => {
    const values = seeds.map((seed) => judged(EIGHT_GROUPS, uneven, IN_ORDER, seed).byGroup.drift.value);
    expect(Math.abs(mean(values) - 1)).toBeLessThan(0.05);
  });

  test('nothing dropped, and too few groups: undecided, with the factor at which drops begin', () => {
    const { verdict, reason, lossFreeFactor } = judged(EIGHT_GROUPS, uneven, { ...IN_ORDER, capacityFactor: 8 }, 1);
    expect(verdict).toBe('undecided');
    expect(reason).toContain(`capacity factor ${lossFreeFactor.toFixed(2)}`);
    expect(judged({ domains: 1, sequences: 7, length: 1024 }, uneven, IN_ORDER, 1).reason).toContain('7 groups');
  });
});

describe('the capacity factor at which drops begin', () => {
  test.each([0, 1])('is sharp: %i slots below it drop', (below) => {
    const text = syntheticText({ ...EIGHT_GROUPS, seed: 4 });
    const { lossFreeFactor } = judged(EIGHT_GROUPS, uneven, IN_ORDER, 4);
    const slot = E / (2 * EIGHT_GROUPS.length); // one slot of capacity as a factor
    const record = recordOf(text, uneven(text, 4), { ...IN_ORDER, capacityFactor: lossFreeFactor - below * slot });
    const dropped = record.layers[0]!.kept.filter((kept) => !kept).length;
    if (below) expect(dropped).toBeGreaterThan(0);
    else expect(dropped).toBe(0);
  });
});

describe('shift', () => {
  const shifted = (heldOut: readonly string[], sequencesPerGroup: number) =>
    judged(
      { domains: 4, sequences: 8, length: 256 },
      (text, seed) => {
        const known = tableRouter((n) => text.tokens[n]!, { experts: E, seed });
        const crowded = tableRouter((n) => text.tokens[n]!, { experts: E, seed }, 3);
        return (n, logits) => (text.domain[n] === 3 ? crowded : known)(n, logits);
      },
      { ...IN_ORDER, heldOut, sequencesPerGroup },
      1,
    ).shift;

  test('is above 1 where a strange domain crowds few experts, and 1 where it is like the others', () => {
    expect(shifted(['domain-3'], 1)!.low).toBeGreaterThan(1.5);
    const same = shifted(['domain-2'], 1)!;
    expect(same.value).toBeLessThan(1.1);
  });

  test('is absent without held-out domains, and where groups mix them with others', () => {
    expect(shifted([], 1)).toBeUndefined();
    expect(shifted(['domain-3'], 4)).toBeUndefined();
  });
});
