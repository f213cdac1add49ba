/** How the map from token id to expert forms: map(t), force(t), agree(t) over training, with intervals, one layer. */
import * as Plot from '@observablehq/plot';
import type { EarlyLayer, EarlyPoint } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, percent } from '../numbers.ts';
import { INK, seriesColour } from '../theme.ts';

const CURVES = [
  { key: 'map', label: 'map: as at the end', colour: seriesColour(0), dash: false },
  { key: 'force', label: 'force: any map', colour: seriesColour(1), dash: false },
  { key: 'agreeBeyondChance', label: 'agree, beyond chance', colour: seriesColour(2), dash: true },
] as const;

/** Shares of training that get a tick: checkpoints crowd at the start, so the axis is a square root. */
const TICKS = [0, 0.01, 0.04, 0.16, 0.5, 1];

export function earlyChart({ layer, points }: EarlyLayer): Chart {
  const curves = CURVES.map((curve) => ({ ...curve, points: points.map((point) => ({ share: point.share, ...point[curve.key] })) }));
  const row = (name: string, { step, share }: EarlyPoint, { value, low, high, n, chance }: EarlyPoint['map']): (string | number)[] => [
    layer,
    step,
    share,
    name,
    value,
    low,
    high,
    n,
    chance,
  ];
  return chart({
    title: `How the map formed, layer ${layer}`,
    description:
      'Over training, 0 is chance and 1 is as at the end, with 95 % intervals. The bounds are 0.5 by 20 % and 0.8 by 65 % of training.',
    spoken: `Map: ${points.map(({ share, map }) => `${decimal(map.value)} at ${percent(share)}`).join(', ')}.`,
    data: {
      columns: ['layer', 'step', 'share', 'curve', 'value', 'low', 'high', 'n', 'chance'],
      rows: CURVES.flatMap(({ key }) => points.map((point) => row(key, point, point[key]))),
    },
    legend: [
      ...curves.map(({ label, colour, dash }) => ({ label, colour, mark: dash ? ('dashed' as const) : ('line' as const) })),
      { label: 'bounds', colour: INK, mark: 'dashed' },
    ],
    plot: {
      x: {
        type: 'sqrt',
        label: 'share of training',
        domain: [0, 1],
        ticks: TICKS,
        tickFormat: (share: number) => `${Math.round(share * 100)} %`,
      },
      y: { grid: true, label: null },
      marks: [
        Plot.ruleY([0], { stroke: INK }),
        Plot.link(
          [
            { from: 0, to: 0.2, at: 0.5 },
            { from: 0.2, to: 0.65, at: 0.8 },
          ],
          { x1: 'from', x2: 'to', y1: 'at', y2: 'at', stroke: INK, strokeDasharray: '4 3' },
        ),
        ...curves.toReversed().flatMap(({ points: series, colour, dash }) => [
          Plot.areaY(series, { x: 'share', y1: 'low', y2: 'high', fill: colour, fillOpacity: 0.2 }),
          Plot.line(series, { x: 'share', y: 'value', stroke: colour, ...(dash && { strokeDasharray: '4 3' }) }),
          Plot.dot(series, { x: 'share', y: 'value', fill: colour, r: 2.5 }), // Plot's own markers carry ids that two pages of one process would not share
        ]),
      ],
    },
  });
}
