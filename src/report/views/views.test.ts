import { describe, expect, test } from 'vitest';
import { drops, groupSpans, type RoutingRecord } from '../../routing/index.ts';
import { pieceOf, syntheticRecords } from '../synthetic-input.ts';
import { readCsv } from '../table.test.ts';
import { dropsView } from './drops.ts';
import { favourite } from './favourite.ts';
import { loadView } from './load.ts';
import { occurrencesOf, spread } from './occurrences.ts';
import { tokenView } from './token.ts';
import { tokenizersView } from './tokenizers.ts';
import type { View } from './view.ts';

const record = syntheticRecords({ domains: 3, sequences: 8, length: 64, seed: 1, experts: 8 }).at(-1)!;
const looking = { pieceOf, seed: 1 };
const VIEWS: Readonly<Record<string, View>> = {
  load: loadView(record),
  drops: dropsView(record, 7),
  token: tokenView(record, [0, 1, 0, 5], looking),
  tokenizers: tokenizersView(
    ['a.json', 'b\u202e.model'].map((tokenizer, i) => ({
      tokenizer,
      domain: 'web',
      language: 'de',
      fertility: { documents: 1, bytes: 40, words: 8, tokens: 10 * i, unknown: i, byteFallback: 0 },
    })),
    [
      { tokenizer: 'a.json', pieces: 100, used: 50 },
      { tokenizer: 'b\u202e.model', pieces: 10, used: 1 },
    ],
  ),
};

/** Two sequences of three tokens, one layer, top-1 of 4 experts. */
const small: RoutingRecord = {
  experts: 4,
  topK: 1,
  domains: ['a', 'b'],
  heldOut: [],
  step: 1,
  share: 1,
  tokens: Int32Array.of(7, 8, 7, 8, 7, 9),
  sequence: Int32Array.of(0, 0, 0, 1, 1, 1),
  position: Int32Array.of(0, 1, 2, 0, 1, 2),
  domain: Int32Array.of(0, 0, 0, 1, 1, 1),
  group: Int32Array.of(0, 0, 0, 1, 1, 1),
  layers: [
    {
      layer: 2,
      chosen: Int32Array.of(0, 1, 0, 1, 3, 2),
      gates: new Float32Array(6).fill(0.5),
      kept: Uint8Array.of(1, 1, 0, 1, 1, 1),
      capacity: 1,
    },
  ],
};

describe.each(Object.entries(VIEWS))('%s', (_, { text, csv, json, svg }) => {
  test('says the same in CSV and JSON', () => {
    const [head, ...rows] = readCsv(csv);
    const objects = json['rows'] as Readonly<Record<string, unknown>>[];
    expect(objects).toHaveLength(rows.length);
    expect(rows.length).toBeGreaterThan(0);
    objects.forEach((object, i) => expect(head!.map((name) => `${(object[name] as string | number | undefined) ?? ''}`)).toEqual(rows[i]));
  });

  test('survives JSON unchanged', () => {
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  });

  test('sends no control character to a terminal, and no line beyond its margin of blanks', () => {
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(text).not.toMatch(/ \n/);
    expect(text.endsWith('\n')).toBe(true);
    expect(svg).toMatch(/^<svg xmlns=/);
  });
});

describe('load', () => {
  test('shares of a layer add up to 1, and the kept slots to what was not dropped', () => {
    const rows = VIEWS['load']!.json['rows'] as { layer: number; share: number; kept: number }[];
    const layers = VIEWS['load']!.json['layers'] as { layer: number; dropped: number; slots: number }[];
    for (const { layer, dropped, slots } of layers) {
      const own = rows.filter((row) => row.layer === layer);
      expect(own).toHaveLength(8);
      expect(own.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
      expect(own.reduce((sum, { kept }) => sum + kept, 0)).toBeCloseTo(slots * (1 - dropped), 6);
    }
  });
});

describe('drops', () => {
  test('the curve is that of the record', () => {
    const spans = groupSpans(record).filter(({ start }) => record.domain[start] !== 2); // the last domain is held out
    const { pooled } = drops(record, record.layers[0]!, { spans, axis: 'group', bins: 32, seed: 7 });
    const rows = VIEWS['drops']!.json['rows'] as { layer: number; axis: string; dropped: number }[];
    expect(rows.filter(({ layer, axis }) => layer === 3 && axis === 'group').map(({ dropped }) => dropped)).toEqual(pooled.dropped);
  });

  test('nothing dropped is said, not divided by', () => {
    const none = { ...record, layers: record.layers.map((layer) => ({ ...layer, kept: layer.kept.map(() => 1), capacity: 1000 })) };
    expect(dropsView(none, 7).text).toContain('0.0\u00a0% dropped');
    expect(dropsView(none, 7).svg).not.toContain('NaN');
  });
});

describe('token', () => {
  test('an occurrence has its neighbours of the same sequence only', () => {
    const all = occurrencesOf(small, 7);
    expect(all.map(({ before, after }) => [before, after])).toEqual([
      [[], [8, 7]],
      [[7, 8], []],
      [[8], [9]],
    ]);
    expect(all.map(({ domain, experts }) => [domain, experts])).toEqual([
      ['a', [[{ expert: 0, kept: true }]]],
      ['a', [[{ expert: 0, kept: false }]]],
      ['b', [[{ expert: 3, kept: true }]]],
    ]);
  });

  test('shown occurrences are spread over the domains', () => {
    expect(spread(occurrencesOf(small, 7), 2).map(({ domain }) => domain)).toEqual(['a', 'b']);
    expect(spread([], 2)).toEqual([]);
  });

  test('the favourite is the most frequent first choice, agreement counts pairs, chance is Σ p²', () => {
    const x = favourite(small, small.layers[0]!, [0, 2, 4], 1);
    expect(x).toMatchObject({ layer: 2, expert: 0, share: 2 / 3, together: 1 / 3, n: 3 });
    expect(x.togetherByChance).toBeCloseTo((4 + 4 + 1 + 1) / 36, 12);
    expect(favourite(small, small.layers[0]!, [4], 1).together).toBeNaN();
  });

  test('the blind router favours by chance: always with one draw, its heaviest load with many', () => {
    expect(favourite(small, small.layers[0]!, [4], 1).blind).toBe(1);
    const rows = [...record.tokens.keys()];
    const heaviest = Math.max(...loadOfFirst(record)) / rows.length;
    expect(Math.abs(favourite(record, record.layers[0]!, rows, 1).blind - heaviest)).toBeLessThan(0.02);
  });

  test('every occurrence of each distinct id is in the CSV', () => {
    const count = (id: number): number => record.tokens.filter((t) => t === id).length;
    expect(VIEWS['token']!.json['rows']).toHaveLength(count(0) + count(1) + count(5));
  });

  test('an id that the probe set does not hold is said, alone and among others', () => {
    expect(tokenView(record, [99_999], looking).text).toContain('not in the probe set');
    expect(tokenView(record, [99_999, 0], looking).csv).toBe(tokenView(record, [0], looking).csv);
  });
});

function loadOfFirst({ layers: [layer], topK, experts }: RoutingRecord): number[] {
  const counts = Array.from({ length: experts }, () => 0);
  layer!.chosen.forEach((e, slot) => slot % topK === 0 && counts[e]!++);
  return counts;
}
