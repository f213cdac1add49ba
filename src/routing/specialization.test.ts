import { describe, expect, test } from 'vitest';
import { contextsOf } from './bits.ts';
import { jackknife, type Interval } from './interval.ts';
import { meeting } from './meeting.ts';
import { NONE, onProbe, probeOf } from './probe.ts';
import { choicesOfRank } from './record.ts';
import { specialization, type SpecializationLayer } from './specialization.ts';
import { CASES, type Case } from './synthetic-cases.ts';
import { linearRouter, recordOf, type Router } from './synthetic.ts';
import { syntheticText, type Text } from './synthetic-text.ts';

/** PROBE=full SEEDS=100 repeats the table of verdicts on the full probe set (32 sequences × 256 tokens × 9 domains). */
const SEEDS = Number(process.env['SEEDS'] ?? 20);
const SIZE = process.env['PROBE'] === 'full' ? { domains: 9, sequences: 32, length: 256 } : { domains: 4, sequences: 8, length: 128 };
const SHAPE = { experts: 16, topK: 1, capacityFactor: 2, sequencesPerGroup: 1, priority: 'in order' } as const;

const texts = new Map<number, Text>();
function textOf(seed: number): Text {
  if (!texts.has(seed)) texts.set(seed, syntheticText({ ...SIZE, seed }));
  return texts.get(seed)!;
}

function judged(text: Text, router: Router): SpecializationLayer {
  const record = recordOf(text, router, SHAPE);
  const probe = probeOf(record);
  return specialization(record, record.layers[0]!, { probe, contexts: contextsOf(probe) });
}

const shareOf = (seeds: readonly number[], test: (seed: number) => boolean): number => seeds.filter(test).length / seeds.length;
const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1);

describe(`context-independent specialization (${SEEDS} seeds)`, () => {
  test.each(CASES)(
    '$about: $contextIndependent',
    ({ router, contextIndependent, tokenOverDomain }: Case) => {
      const layers = seeds.map((seed) => {
        const text = textOf(seed);
        return judged(text, router(text, { experts: SHAPE.experts, seed }));
      });
      const share = (is: (layer: SpecializationLayer) => boolean): number => shareOf(seeds, (seed) => is(layers[seed - 1]!));
      expect(share(({ verdict }) => verdict === contextIndependent)).toBeGreaterThanOrEqual(0.95);
      // Eight sequences a domain may leave the weaker claim open; they must not turn it round.
      const open = SIZE.sequences < 32 ? 'undecided' : tokenOverDomain;
      const weaker = share(({ token_over_domain: { verdict } }) => [undefined, verdict].includes(tokenOverDomain) || verdict === open);
      expect(weaker).toBeGreaterThanOrEqual(0.95);
    },
    3_600_000,
  );

  test('the more a linear router weighs its context, the less the token is worth', () => {
    const text = syntheticText({ ...SIZE, seed: 1 });
    const margins = [0.9, 0.7, 0.5, 0.3, 0.1].map((w) => judged(text, linearRouter(text, w, { experts: 16, seed: 1 })));
    const values = margins.map(({ first }) => first.contextIndependent.bits.value);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(margins[0]!.verdict).toBe('holds');
    expect(margins.at(-1)!.verdict).toBe('fails');
  });
});

describe('no verdict', () => {
  const holds = CASES[0]!;
  const verdictOn = (size: { domains: number; sequences: number }): SpecializationLayer => {
    const text = syntheticText({ ...size, length: 128, seed: 1 });
    return judged(text, holds.router(text, { experts: 16, seed: 1 }));
  };

  test('without a second domain', () => {
    expect(verdictOn({ domains: 1, sequences: 16 })).toMatchObject({ verdict: 'undecided', token_over_domain: { verdict: 'undecided' } });
  });

  test('from fewer than 8 sequences in a domain', () => {
    expect(verdictOn({ domains: 3, sequences: 7 }).reason).toContain('7 sequences');
    expect(verdictOn({ domains: 3, sequences: 8 }).verdict).toBe('holds');
  });
});

test('intervals of the meeting table contain the value on ten times the text', () => {
  const tableOn = (sequences: number, seed: number): Interval => {
    const text = syntheticText({ domains: 2, sequences, length: 128, seed });
    const record = recordOf(text, CASES[1]!.router(text, { experts: 16, seed: 1 }), SHAPE);
    const probe = probeOf(record);
    const cells = (without: number) => ({
      kappa: meeting(probe, onProbe(probe, choicesOfRank(record, record.layers[0]!, 0)), without).kappa,
    });
    return jackknife(
      cells(NONE),
      Array.from({ length: probe.blocks }, (_, block) => cells(block)),
    ).kappa;
  };
  const truth = tableOn(160, 99).value;
  const draws = Array.from({ length: 20 }, (_, seed) => tableOn(16, seed));
  expect(draws.filter(({ low, high }) => low < truth && truth < high).length).toBeGreaterThanOrEqual(17);
});
