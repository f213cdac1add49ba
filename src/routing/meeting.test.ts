import { describe, expect, test } from 'vitest';
import { meeting, type Meeting } from './meeting.ts';
import { NONE, onProbe, probeOf, type Probe } from './probe.ts';
import { choicesOfRank, type RoutingRecord } from './record.ts';
import { syntheticText } from './synthetic-text.ts';
import { pairKey, randomRouter, recordOf, replaced, tableRouter, type Router } from './synthetic.ts';

const SHAPE = { topK: 2, capacityFactor: 2, sequencesPerGroup: 1, priority: 'in order' } as const;
const text = syntheticText({ domains: 4, sequences: 16, length: 128, seed: 1 });
const how = { experts: 16, seed: 1 };
const token = tableRouter((n) => text.tokens[n]!, how);

const firsts = (record: RoutingRecord): { probe: Probe; choices: Int32Array } => {
  const probe = probeOf(record);
  return { probe, choices: onProbe(probe, choicesOfRank(record, record.layers[0]!, 0)) };
};
const meetingOf = (router: Router): Meeting => {
  const { probe, choices } = firsts(recordOf(text, router, { ...SHAPE, experts: how.experts }));
  return meeting(probe, choices, NONE);
};

/** The definitions, pair by pair. */
function byBruteForce({ token: v, domain, sequence, block }: Probe, choice: Int32Array, without: number): Meeting {
  const all = [...v.keys()].filter((n) => block[sequence[n]!] !== without);
  const meet = (from: readonly number[], to: (i: number) => readonly number[]): { share: number; pairs: number } => {
    let [same, pairs] = [0, 0];
    for (const i of from) for (const j of to(i)) [same, pairs] = [same + (choice[i] === choice[j] ? 1 : 0), pairs + 1];
    return { share: same / pairs, pairs };
  };
  const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
  const rows = [...new Set(v)].flatMap((id) => {
    const own = all.filter((n) => v[n] === id);
    const homes = [...new Set(own.map((n) => domain[n]!))].filter(
      (d) => new Set(own.filter((n) => domain[n] === d).map((n) => sequence[n])).size >= 2,
    );
    if (homes.length < 2) return [];
    const at = (d: number): number[] => own.filter((n) => domain[n] === d);
    const everyone = (d: number): number[] => all.filter((n) => domain[n] === d);
    const couples = homes.flatMap((d) => homes.filter((other) => other !== d).map((other) => [d, other] as const));
    const inside = [...new Set(own.map((n) => sequence[n]!))].map((s) => {
      const here = own.filter((n) => sequence[n] === s);
      const others = all.filter((n) => sequence[n] === s && v[n] !== id);
      return { same: meet(here, (i) => here.filter((j) => j !== i)), other: meet(here, () => others) };
    });
    const repeats = inside.filter(({ same }) => same.pairs > 0);
    const pairs = repeats.reduce((sum, { same }) => sum + same.pairs, 0);
    return [
      {
        weight: own.length,
        repeated: pairs > 0 ? own.length : 0,
        ss: repeats.reduce((sum, { same }) => sum + same.share * same.pairs, 0) / pairs,
        oss: repeats.reduce((sum, { same, other }) => sum + same.pairs * other.share, 0) / pairs,
        sd: mean(homes.map((d) => meet(at(d), (i) => at(d).filter((j) => sequence[j] !== sequence[i])).share)),
        osd: mean(homes.map((d) => meet(at(d), (i) => everyone(d).filter((j) => sequence[j] !== sequence[i] && v[j] !== id)).share)),
        od: mean(couples.map(([d, other]) => meet(at(d), () => at(other)).share)),
        ood: mean(couples.map(([d, other]) => meet(at(d), () => everyone(other)).share)),
      },
    ];
  });
  const weighted = (key: 'ss' | 'oss' | 'sd' | 'osd' | 'od' | 'ood', weight: 'weight' | 'repeated'): number => {
    const counted = rows.filter((row) => row[weight] > 0);
    return counted.reduce((sum, row) => sum + row[key] * row[weight], 0) / counted.reduce((sum, row) => sum + row[weight], 0);
  };
  const [od, ood] = [weighted('od', 'weight'), weighted('ood', 'weight')];
  const share = (weight: 'weight' | 'repeated'): number => rows.reduce((sum, row) => sum + row[weight], 0) / all.length;
  return {
    ss: weighted('ss', 'repeated'),
    oss: weighted('oss', 'repeated'),
    odRepeated: weighted('od', 'repeated'),
    sd: weighted('sd', 'weight'),
    osd: weighted('osd', 'weight'),
    od,
    ood,
    kappa: (od - ood) / (1 - ood),
    coverage: share('weight'),
    coverageRepeated: share('repeated'),
  };
}

describe('the meeting table', () => {
  const drawn = syntheticText({ domains: 2, sequences: 4, length: 20, seed: 5 });
  const small = { ...drawn, tokens: drawn.tokens.map((id) => id % 9) }; // 8 sequences × 20 tokens of few ids, so that most ids meet
  const record = recordOf(small, tableRouter(pairKey(small), { experts: 4, seed: 2 }), { ...SHAPE, experts: 4 });

  test.each([NONE, 0, 3])('every cell and κ equals its sum over pairs, without block %i', (without) => {
    const { probe, choices } = firsts(record);
    const [fast, slow] = [meeting(probe, choices, without), byBruteForce(probe, choices, without)];
    for (const key of Object.keys(slow) as (keyof Meeting)[]) expect(Math.abs(fast[key] - slow[key]), key).toBeLessThan(1e-12);
    expect(slow.coverage).toBeGreaterThan(0.3);
  });

  test('renaming experts changes nothing', () => {
    const { probe, choices } = firsts(record);
    const renamed = meeting(
      probe,
      choices.map((e) => [2, 0, 3, 1][e]!),
      NONE,
    );
    const given = meeting(probe, choices, NONE);
    for (const key of Object.keys(given) as (keyof Meeting)[]) expect(renamed[key]).toBeCloseTo(given[key], 12);
  });

  test('a token table meets itself everywhere: ss = sd = od = κ = 1', () => {
    const { ss, sd, od, kappa } = meetingOf(token);
    for (const cell of [ss, sd, od, kappa]) expect(cell).toBeCloseTo(1, 12);
  });

  test.each([0.2, 0.5, 0.8])('with a share ν = %d of fresh choices κ = (1 − ν)²', (share) => {
    const values = Array.from({ length: 5 }, (_, seed) => meetingOf(replaced(token, randomRouter(how), { share, seed })).kappa);
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / 5 - (1 - share) ** 2)).toBeLessThan(0.02);
  });

  test('a domain table: ss = sd = oss = osd = 1, κ = 0', () => {
    const { ss, sd, oss, osd, kappa } = meetingOf(tableRouter((n) => text.domain[n]!, how));
    for (const cell of [ss, sd, oss, osd]) expect(cell).toBeCloseTo(1, 12);
    expect(Math.abs(kappa)).toBeLessThan(0.01);
  });

  test('a random router meets by its loads alone', () => {
    const { kappa, ss, sd, ood } = meetingOf(randomRouter(how));
    expect(Math.abs(kappa)).toBeLessThan(0.01);
    expect(Math.abs(ss - ood)).toBeLessThan(0.02);
    expect(Math.abs(sd - ood)).toBeLessThan(0.02);
  });
});
