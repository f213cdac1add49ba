import { DOMParser } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { layerLoad, type Deviation, type Estimate } from '../../routing/index.ts';
import type { Chart } from '../chart.ts';
import { visible } from '../html.ts';
import { PIECES, pieceOf, syntheticInput, syntheticRecords } from '../synthetic-input.ts';
import { deviationByPositionChart, deviationByTokenChart } from './deviation.ts';
import { domainDropsChart, quarterRate } from './domain-drops.ts';
import { domainLossChart } from './domain-loss.ts';
import { dropsChart } from './drops.ts';
import { earlyChart } from './early.ts';
import { fertilityChart } from './fertility.ts';
import { intervalsChart } from './intervals.ts';
import { layeredDropsChart } from './layered-drops.ts';
import { loadChart } from './load.ts';
import { loadOverTimeChart, loadPoints } from './load-over-time.ts';
import { lossChart, smoothed } from './loss.ts';
import { corners, distance, polygonsChart } from './polygons.ts';
import { balanceOverTimeChart, droppedOverTimeChart } from './series.ts';
import { firstOf, lastOf, tokenContextsChart } from './token-contexts.ts';

const records = syntheticRecords({ domains: 3, sequences: 8, length: 64, seed: 1, experts: 8 });
const input = syntheticInput(records, 32);
const [one, two, three] = input.findings.findings;
const tables = input.findings.layers[0]!;
const steps = input.stepRouting.map(({ step, layers: [first] }) => ({ step, ...first! }));
const layers = [{ layer: 3, steps }];
const HOSTILE = '<b>&"]]>\u0000';
const deviations: readonly Deviation[] = PIECES.map((_, at) => ({ at, n: 200 + at, value: 0.1 + at / 100, sameLoad: 0.05 }));
const context = {
  domain: HOSTILE,
  before: HOSTILE,
  token: HOSTILE,
  after: HOSTILE,
  experts: [{ layer: 3, expert: 5, kept: false, favourite: true }],
};

const CHARTS: Readonly<Record<string, Chart>> = {
  loss: lossChart({
    training: input.metrics.map((m) => ({ ...m, loss: m.crossEntropy })),
    validation: input.validation,
    baselines: input.baselines,
  }),
  'loss before the first step': lossChart({ training: [], validation: [], baselines: input.baselines }),
  'domain loss': domainLossChart([{ step: 1, byDomain: { [HOSTILE]: 4, plain: 3 } }]),
  fertility: fertilityChart([
    {
      tokenizer: HOSTILE,
      domain: HOSTILE,
      language: '',
      fertility: { documents: 1, bytes: 40, words: 8, tokens: 10, unknown: 1, byteFallback: 0 },
    },
    {
      tokenizer: 'b',
      domain: 'x',
      language: 'de',
      fertility: { documents: 1, bytes: 1, words: 0, tokens: 0, unknown: 0, byteFallback: 0 },
    },
  ]),
  load: loadChart(records.at(-1)!.layers.map((layer) => layerLoad(records.at(-1)!, layer))),
  'load over time': loadOverTimeChart(3, steps),
  'dropped over time': droppedOverTimeChart(layers),
  'balance over time': balanceOverTimeChart(layers, 2),
  drops: dropsChart(three.layers[0]!.byGroup, { layer: 3, where: HOSTILE }),
  'layered drops': layeredDropsChart(three.layers),
  'domain drops': domainDropsChart(three.layers[0]!.byGroup.curve, 3),
  polygons: polygonsChart(
    3,
    tables.polygons.map((p, d) => (d === 0 ? { ...p, domain: HOSTILE } : p)),
    tables.pooledPolygon,
  ),
  early: earlyChart(two.layers[0]!),
  intervals: intervalsChart(HOSTILE, [{ label: HOSTILE, estimate: one.layers[0]!.first.gains.token }], { label: 'x', type: 'linear' }),
  'deviation by position': deviationByPositionChart(3, tables.deviationByPosition),
  'deviation by token': deviationByTokenChart(3, deviations, (id) => visible(pieceOf(id))),
  'token contexts': tokenContextsChart(HOSTILE, [context], { columns: [], rows: [] }),
};

const parsed = ({ svg }: Chart) => new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement!;
/** Each tag that opens is closed in turn, attributes are quoted, text holds no bare < or &: enough of XML for what is written here. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  let at = 0;
  for (const match of svg.matchAll(/<(\/?)([a-zA-Z]+)((?: [\w:-]+="[^"<]*")*) ?(\/?)>/g)) {
    expect(svg.slice(at, match.index)).not.toMatch(/[<]|&(?!(?:amp|lt|gt|quot|#\d+|#x[0-9a-f]+);)/i);
    at = match.index + match[0].length;
    if (match[1] === '/') expect(open.pop()).toBe(match[2]);
    else if (match[4] !== '/') open.push(match[2]!);
  }
  expect(svg.slice(at)).toBe('');
  expect(open).toEqual([]);
  // eslint-disable-next-line no-control-regex
  expect(svg).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
}

describe.each(Object.entries(CHARTS))('%s', (_, chart) => {
  test('is a well-formed document that names and describes itself', () => {
    expectWellFormed(chart.svg);
    const svg = parsed(chart);
    expect(svg.getAttribute('xmlns')).toBe('http://www.w3.org/2000/svg');
    expect(svg.getAttribute('role')).toBe('img');
    expect(svg.getAttribute('aria-label')!.length).toBeGreaterThan(chart.title.length);
    expect(svg.querySelectorAll('title, desc')).toHaveLength(2);
  });

  test('draws no NaN, no text of its page, no script', () => {
    expect(chart.svg).not.toContain('NaN');
    expect(chart.svg).not.toMatch(/<b>|<script/);
  });

  test('holds a row of data for each column', () => {
    for (const row of chart.data.rows) expect(row).toHaveLength(chart.data.columns.length);
  });
});

describe('what the pictures show', () => {
  test('the heat map has a cell and a row of data for each layer and expert, shares adding up to 1', () => {
    const { load } = CHARTS as { load: Chart };
    expect(parsed(load).querySelectorAll('rect')).toHaveLength(2 * 8);
    expect(load.data.rows).toHaveLength(2 * 8);
    for (const layer of [3, 7])
      expect(load.data.rows.filter(([l]) => l === layer).reduce((sum, row) => sum + (row[2] as number), 0)).toBeCloseTo(1, 12);
    expect(load.svg).toContain('layer 7');
  });

  test('a heat map marks an expert never chosen', () => {
    const load = layerLoad(records[0]!, { ...records[0]!.layers[0]!, chosen: records[0]!.layers[0]!.chosen.map((e) => (e === 2 ? 1 : e)) });
    expect(loadChart([load]).svg).toMatch(/>×<\/text>|>0\.0<\/text>/);
    expect(loadChart([load]).description).toContain('1 never chosen');
  });

  test('load over training counts the steps of a stretch together, and ends at the last step', () => {
    const two = loadPoints(steps, 2);
    expect(two.map(({ step }) => step)).toEqual([...Array(8).fill(steps[4]!.step), ...Array(8).fill(steps.at(-1)!.step)]);
    expect(two.slice(0, 8).reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    const mean = steps.slice(0, 5).reduce((sum, { routing }) => sum + routing.load[0]![3]! + routing.load[1]![3]!, 0) / (5 * 2 * 24 * 64);
    expect(two[3]!.share).toBeCloseTo(mean, 12);
    expect(loadPoints([], 4)).toEqual([]);
  });

  test('the loss chart draws the two baselines and nothing else that comes with them', () => {
    const baselines = { unigram: 7, bigram: 5, trainTokens: 1e6 };
    expect(lossChart({ training: [], validation: [], baselines }).data.rows).toEqual([
      ['unigram', null, null, 7],
      ['bigram', null, null, 5],
    ]);
  });

  test('the smoothed curve keeps the mean and ends at the last step', () => {
    const points = Array.from({ length: 103 }, (_, step) => ({ step, tokens: step * 10, loss: step % 7 }));
    const line = smoothed(points, 103);
    expect(line).toEqual(points);
    const few = smoothed(points.slice(0, 100), 10);
    expect(few).toHaveLength(10);
    expect(few.at(-1)!.step).toBe(99);
    expect(few.reduce((sum, { loss }) => sum + loss, 0) / 10).toBeCloseTo(
      points.slice(0, 100).reduce((sum, { loss }) => sum + loss, 0) / 100,
      12,
    );
    expect(smoothed([], 10)).toEqual([]);
  });

  test('a polygon has its experts counter-clockwise from the east, and no distance from itself', () => {
    const [east, north, west] = corners([1, 2, 3, 4]);
    expect([east!.x, east!.y, north!.x, north!.y, west!.x].map((x) => Math.round(x * 1e9) / 1e9)).toEqual([1, 0, 0, 2, -3]);
    expect(distance([0.5, 0.5], [0.5, 0.5])).toBe(0);
    expect(distance([1, 0], [0, 1])).toBe(1);
  });

  test('quarters of a drop curve are rates of their own slots', () => {
    const curve = { slots: [4, 4, 4, 4, 8, 8, 8, 8], dropped: [1, 1, 0, 0, 0, 0, 4, 8] };
    expect([quarterRate(curve, 0, 0.25), quarterRate(curve, 0.75, 1), quarterRate(curve, 0, 1)]).toEqual([0.25, 0.75, 14 / 48]);
  });

  test('an estimate that could not be counted keeps its row and is not drawn', () => {
    const nothing: Estimate = { value: NaN, low: NaN, high: NaN, n: 0, chance: 0 };
    const rows = [
      { label: 'known', estimate: { value: 0.5, low: 0.4, high: 0.6, n: 9, chance: 0.1 } },
      { label: 'unknown', estimate: nothing },
    ];
    const chart = intervalsChart('t', rows, { label: 'x', type: 'linear' });
    expect(parsed(chart).querySelectorAll('circle')).toHaveLength(2); // one in the legend, one estimate
    expect(chart.svg).toContain('>unknown</text>');
    expect(chart.data.rows).toHaveLength(2);
  });

  test('long text is cut by characters, not by halves of them', () => {
    expect([firstOf('😀😀😀😀', 3), lastOf('😀😀😀😀', 3), firstOf('abc', 3)]).toEqual(['😀😀…', '…😀😀', 'abc']);
  });

  test('equal input gives equal bytes', () => {
    expect(loadOverTimeChart(3, steps).svg).toBe(CHARTS['load over time']!.svg);
  });
});
