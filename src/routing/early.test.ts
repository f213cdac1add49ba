import { describe, expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { bracket, checkSameProbe, earlyRouting, lossBrackets, type EarlyLayer } from './early.ts';
import { kappa } from './kappa.ts';
import { NONE, onProbe, probeOf, type Probe } from './probe.ts';
import { choicesOfRank, type RoutingRecord } from './record.ts';
import {
  drifts,
  frozen,
  inherits,
  late,
  never,
  pairKey,
  randomRouter,
  recordOf,
  replaced,
  settles,
  tableRouter,
  tokenRouterAt,
  type Trajectory,
} from './synthetic.ts';
import { syntheticText, type Text } from './synthetic-text.ts';
import type { Verdict } from './verdict.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 20);
const SHARES = [0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1];
const SHAPE = { experts: 16, topK: 1, capacityFactor: 2, sequencesPerGroup: 1, priority: 'in order' } as const;
const SIZE = process.env['PROBE'] === 'full' ? { domains: 9, sequences: 32, length: 256 } : { domains: 4, sequences: 8, length: 64 };

/** With few ids the heaviest decide when half of the map is there: 0.95 on the full probe set. */
const ALMOST = process.env['PROBE'] === 'full' ? 0.95 : 0.75;

const texts = new Map<number, Text>();
function textOf(seed: number): Text {
  if (!texts.has(seed)) texts.set(seed, syntheticText({ ...SIZE, seed }));
  return texts.get(seed)!;
}

function learned(trajectory: Trajectory, seed: number, shares: readonly number[] = SHARES): EarlyLayer {
  const text = textOf(seed);
  const records = shares.map((share) => recordOf(text, tokenRouterAt(text, trajectory, share, { experts: 16, seed }), { ...SHAPE, share }));
  return earlyRouting(probeOf(records[0]!), records, { index: 0, notes: [] });
}

const CASES: readonly {
  readonly about: string;
  readonly trajectory: (seed: number) => Trajectory;
  readonly verdict: Verdict;
  readonly share?: number;
}[] = [
  { about: 'settles with time constant 5 %', trajectory: (seed) => settles(0.05, seed), verdict: 'holds' },
  { about: 'settles with time constant 15 %', trajectory: (seed) => settles(0.15, seed), verdict: 'holds', share: ALMOST },
  { about: 'settles at 60 %', trajectory: (seed) => late(0.6, seed), verdict: 'fails' },
  { about: 'drifts steadily', trajectory: (seed) => drifts({ rate: 3, root: false, seed }), verdict: 'fails' },
  { about: 'drifts with √t', trajectory: (seed) => drifts({ rate: 3, root: true, seed }), verdict: 'fails' },
  { about: 'never settles', trajectory: () => never, verdict: 'fails' },
  { about: 'is frozen', trajectory: () => frozen, verdict: 'inherited' },
  { about: 'inherits 0.8 of its map', trajectory: (seed) => inherits(0.8, settles(0.15, seed), seed), verdict: 'inherited' },
];

describe(`early routing learning (${SEEDS} seeds)`, () => {
  test.each(CASES)(
    'a router that $about: $verdict',
    ({ trajectory, verdict, share = 0.95 }) => {
      const verdicts = Array.from({ length: SEEDS }, (_, i) => learned(trajectory(i + 1), i + 1).verdict);
      expect(verdicts.filter((v) => v === verdict).length / SEEDS).toBeGreaterThanOrEqual(share);
    },
    3_600_000,
  );

  test('too few checkpoints leave it open: 10 % is too early for a time constant of 15 %', () => {
    expect(learned(settles(0.15, 1), 1, [0, 0.05, 0.1, 0.32, 0.64, 1]).verdict).toBe('undecided');
    expect(learned(settles(0.05, 1), 1, [0.01, 0.16, 0.64, 1]).reason).toContain('step 0');
    expect(learned(settles(0.05, 1), 1, [0, 0.08, 0.16, 0.35]).reason).toContain('last checkpoint is at 35 %');
    expect(learned(settles(0.05, 1), 1, [0, 0.08, 0.16]).verdict).toBe('undecided');
  });

  test('a random router has no map to learn', () => {
    const text = syntheticText({ ...SIZE, seed: 1 });
    const records = SHARES.map((share) =>
      recordOf(text, randomRouter({ experts: 16, seed: Math.round(100 * share) }), { ...SHAPE, share }),
    );
    expect(earlyRouting(probeOf(records[0]!), records, { index: 0, notes: [] }).verdict).toBe('undecided');
  });
});

describe('the map', () => {
  const at = (layer: EarlyLayer, share: number) => layer.points.find((point) => point.share === share)!;

  test('of a frozen router with noise stays at 1, its force too', () => {
    const text = syntheticText({ domains: 4, sequences: 16, length: 256, seed: 3 });
    const how = { experts: 16, seed: 3 };
    const records = SHARES.map((share, t) =>
      recordOf(
        text,
        replaced(
          tableRouter((n) => text.tokens[n]!, how),
          randomRouter({ experts: 16, seed: 3 }),
          { share: 0.3, seed: t },
        ),
        { ...SHAPE, share },
      ),
    );
    for (const { map, force } of earlyRouting(probeOf(records[0]!), records, { index: 0, notes: [] }).points) {
      expect(Math.abs(map.value - 1)).toBeLessThan(0.03);
      expect(Math.abs(force.value - 1)).toBeLessThan(0.05);
    }
  });

  test('of unrelated maps is 0: each within 0.2 on this small probe, their mean within 0.03', () => {
    const values = Array.from({ length: 20 }, (_, seed) => at(learned(never, seed), 0.32).map.value);
    for (const value of values) expect(Math.abs(value)).toBeLessThan(0.2);
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / 20)).toBeLessThan(0.03);
  });

  test('a router that has not found its map is a token router all the same: force 1, map 0', () => {
    const { map, force, agreeBeyondChance } = at(learned(late(0.6, 1), 1), 0.08);
    expect(Math.abs(map.value)).toBeLessThan(0.2);
    expect(Math.abs(force.value - 1)).toBeLessThan(0.1);
    expect(Math.abs(agreeBeyondChance.value)).toBeLessThan(0.2);
  });

  test('ends at 1, agrees with itself, and reaches its halves in order', () => {
    const layer = learned(settles(0.15, 2), 2);
    expect(layer.points.at(-1)!.map.value).toBeCloseTo(1, 12);
    expect(layer.points.at(-1)!.agree.value).toBe(1);
    expect(layer.points.at(-1)!.overlapBeyondChance.value).toBeCloseTo(1, 12);
    expect(layer.t50[1]!).toBeLessThanOrEqual(layer.t80[1]!);
  });
});

describe('κ(i,j)', () => {
  const drawn = syntheticText({ domains: 2, sequences: 4, length: 20, seed: 5 });
  const text = { ...drawn, tokens: drawn.tokens.map((id) => id % 9) }; // 8 sequences × 20 tokens
  const records = [1, 2].map((seed) => recordOf(text, tableRouter(pairKey(text), { experts: 4, seed }), { ...SHAPE, experts: 4 }));
  const probe = probeOf(records[0]!);
  const [i, j] = records.map((record) => onProbe(probe, choicesOfRank(record, record.layers[0]!, 0))) as [Int32Array, Int32Array];

  function byBruteForce({ token, sequence, block }: Probe, without: number): number {
    const all = [...token.keys()].filter((n) => block[sequence[n]!] !== without);
    let [meets, weight] = [0, 0];
    for (const v of new Set(token)) {
      const own = all.filter((n) => token[n] === v);
      const pairs = own.flatMap((a) => own.filter((b) => sequence[b] !== sequence[a]).map((b) => [a, b] as const));
      if (pairs.length === 0) continue;
      meets += (own.length * pairs.filter(([a, b]) => i[a] === j[b]).length) / pairs.length;
      weight += own.length;
    }
    const c = all.flatMap((a) => all.map((b) => (i[a] === j[b] ? 1 : 0) as number)).reduce((x, y) => x + y, 0) / all.length ** 2;
    return (meets / weight - c) / (1 - c);
  }

  test.each([NONE, 0, 3])('equals its sum over pairs, without block %i', (without) => {
    expect(Math.abs(kappa(probe, i, j)[1 + without]! - byBruteForce(probe, without))).toBeLessThan(1e-12);
  });

  test('does not depend on the names of the experts, nor on which checkpoint comes first', () => {
    const rename = (choices: Int32Array): Int32Array => choices.map((e) => [3, 1, 0, 2][e]!);
    expect(kappa(probe, rename(i), rename(j))[0]).toBeCloseTo(kappa(probe, i, j)[0]!, 12);
    expect(kappa(probe, j, i)[0]).toBeCloseTo(kappa(probe, i, j)[0]!, 12);
  });

  test('records of different text are refused', () => {
    const other: RoutingRecord = { ...records[0]!, tokens: records[0]!.tokens.map((id) => id + 1) };
    expect(() => checkSameProbe([records[0]!, other])).toThrow(UserError);
  });
});

describe('brackets', () => {
  const series = [0, 0.1, 0.6, 1].map((level, t) => ({ share: t / 3, level }));

  test('name the last checkpoint below and the first at or above', () => {
    expect(bracket(series, 0.6)).toEqual([1 / 3, 2 / 3]);
    expect(bracket(series, 0)).toEqual([null, 0]);
    expect(bracket(series, 2)).toEqual([1, null]);
  });

  test('of the loss follow its decline, and are absent without losses', () => {
    const records = [0, 0.5, 1].map((share) => ({ share }) as RoutingRecord);
    expect(lossBrackets(records, [{ loss: 8 }, { loss: 5 }, { loss: 4 }])).toEqual({ t50: [0, 0.5], t80: [0.5, 1] });
    expect(lossBrackets(records, [{ loss: 8 }])).toBeUndefined();
  });
});
