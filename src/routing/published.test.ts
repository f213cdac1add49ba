/** Published counts through the metric code give the published results (arXiv 2402.01739; OLMoE routing data, Apache-2.0). */
import { describe, expect, test } from 'vitest';
import olmoe from '../../test/goldens/routing/olmoe-mixtral.json' with { type: 'json' };
import openmoe from '../../test/goldens/routing/openmoe-figures.json' with { type: 'json' };
import { deviation, dropRate, entropyBits, polygon, pooled, sameLoadDeviation } from './index.ts';

interface Series {
  readonly counts: number[];
  readonly kept_total: number;
  readonly tokens?: number;
  readonly slots?: number;
  readonly dropped?: number;
}
const figures: Record<string, Record<string, Series>> = openmoe;
const seriesOf = (figure: string): [string, Series][] => Object.entries(figures[figure]!);
const total = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

/** Drop in % as printed in section 12.3 of the paper's reconstruction. */
const PUBLISHED_DROPS: Record<string, Record<string, number>> = {
  fig5_redpajama: { arxiv: 0.01, book: 0.25, c4: 0.32, cc: 0.07, github: 0.17, stackexchange: 0.24, wikipedia: 0.18 },
  fig6_thestack: { assembly: 3.15, blitzmax: 0.18, java: 0.06, python: 0.42 },
  fig7_ted: {
    ar: 0.45,
    de: 0.02,
    es: 0.03,
    fr: 0.05,
    he: 0.03,
    it: 0.01,
    ja: 1.72,
    ko: 2.62,
    nl: 0.03,
    ru: 0.02,
    'zh-cn': 3.55,
    'zh-tw': 2.67,
  },
  fig8_mtbench: {
    writing: 0.83,
    roleplay: 0.53,
    reasoning: 2.38,
    math: 10.37,
    coding: 0.55,
    extraction: 0.16,
    stem: 0.07,
    humanities: 0.04,
  },
};

describe('OpenMoE-8B/32E, third MoE layer', () => {
  test.each(Object.keys(PUBLISHED_DROPS))('%s: shares, totals and drops', (figure) => {
    for (const [domain, { counts, kept_total, tokens, slots, dropped }] of seriesOf(figure)) {
      const drawn = polygon(counts, { domain, heldOut: false, slots: slots! });
      expect(total(counts)).toBe(kept_total);
      expect(slots).toBe(2 * tokens!);
      expect(drawn.dropped).toBe(dropped);
      expect(total(drawn.shares)).toBeCloseTo(1, 12);
      drawn.shares.forEach((share, e) => expect(share * kept_total).toBeCloseTo(counts[e]!, 6));
      expect((100 * dropRate(drawn.dropped, drawn.slots)).toFixed(2)).toBe(PUBLISHED_DROPS[figure]![domain]!.toFixed(2));
    }
  });

  test.each(['fig9a_positions', 'fig9b_positions', 'fig10_tokens', 'fig11a_ed', 'fig11b_an'])('%s: counts add up', (figure) => {
    for (const [, { counts, kept_total }] of seriesOf(figure)) expect(total(counts)).toBe(kept_total);
  });

  test('deviation over experts by position, from the counts of Fig 9a', () => {
    const values = seriesOf('fig9a_positions').map(([, { counts }]) => deviation(counts));
    expect(values[0]).toBeCloseTo(0.00871, 5);
    expect(values.at(-1)).toBeCloseTo(0.011, 5);
    expect(total(values) / values.length).toBeCloseTo(0.00946, 5);
  });

  test('at those n a blind router with the same loads deviates just as much: Fig 13 is noise', () => {
    const loads = pooled(
      seriesOf('fig5_redpajama').map(([domain, { counts, slots }]) => polygon(counts, { domain, heldOut: false, slots: slots! })),
    );
    const blind = seriesOf('fig9a_positions').map(([, { kept_total }]) => sameLoadDeviation(loads, kept_total));
    expect(Math.min(...blind).toFixed(4)).toBe('0.0080');
    expect(Math.max(...blind).toFixed(4)).toBe('0.0104');
  });

  test('deviation by token id, from the counts of Fig 10; two fixed experts', () => {
    const values = seriesOf('fig10_tokens').map(([, { counts }]) => deviation(counts));
    expect(total(values) / values.length).toBeCloseTo(0.06349, 5);
    expect(deviation(Array.from({ length: 32 }, (_, e) => (e < 2 ? 64 : 0)))).toBeCloseTo(0.12103, 5);
  });
});

interface Counted {
  readonly k: number;
  readonly tokens: number[];
  readonly counts: number[][];
  readonly countsTop1?: number[][];
  readonly H?: number[];
}

describe('OLMoE and Mixtral', () => {
  test.each(Object.entries(olmoe as Record<string, Counted>))('%s: every row sums to K · tokens, entropies agree', (_, series) => {
    series.counts.forEach((row, i) => {
      expect(total(row)).toBe(series.k * series.tokens[i]!);
      if (series.countsTop1) expect(total(series.countsTop1[i]!)).toBe(series.tokens[i]);
      if (series.H) expect(Math.abs(entropyBits(row) - series.H[i]!)).toBeLessThan(0.005);
    });
  });
});
