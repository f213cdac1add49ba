/** Drop rate by position in the routing group or in the sequence: pooled with its interval, and per choice rank. */
import * as Plot from '@observablehq/plot';
import type { DropCurve, EndDrops, Estimate } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, percent, range } from '../numbers.ts';
import { INK, seriesColour } from '../theme.ts';

const RANKS = ['first choices', 'second choices', 'third choices', 'fourth choices'];
const rankName = (k: number): string => RANKS[k] ?? `choices of rank ${k + 1}`;

interface Bin {
  readonly place: number;
  readonly rate: number;
}

/** Middle of each bin as a share of the length, and dropped ÷ slots there. */
export const binsOf = ({ slots, dropped }: DropCurve): Bin[] =>
  slots.map((n, b) => ({ place: (b + 0.5) / slots.length, rate: dropped[b]! / n }));

/** The curve of one layer; `where` tells apart charts of one layer (a capacity, a state of training). */
export function dropsChart({ axis, curve, ratio }: EndDrops, { layer, where }: { readonly layer: number; readonly where: string }): Chart {
  const { pooled, ranks, domains } = curve;
  const bands = pooled.drop.map((x, b) => ({ place: (b + 0.5) / curve.bins, ...x }));
  const overall = pooled.drop[0]?.chance ?? NaN;
  const curveRows = (name: string, { slots, dropped }: DropCurve, drop: readonly Estimate[]): (string | number | null)[][] =>
    slots.map((n, b) => [
      layer,
      axis,
      name,
      b / curve.bins,
      (b + 1) / curve.bins,
      n,
      dropped[b]!,
      dropped[b]! / n,
      drop[b]?.low ?? null,
      drop[b]?.high ?? null,
    ]);
  return chart({
    title: `Drops by position in the ${axis}, layer ${layer}${where && `, ${where}`}`,
    description: `Dropped share of the slots along the ${axis}; overall ${percent(overall)}. Last quarter ÷ first quarter: ${decimal(ratio.value)} (95 % interval ${range(ratio)}, n = ${ratio.n} groups, no effect 1).`,
    data: {
      columns: ['layer', 'axis', 'curve', 'from', 'to', 'slots', 'dropped', 'drop', 'low', 'high'],
      rows: [
        ...curveRows('all', pooled, pooled.drop),
        ...ranks.flatMap((rank, k) => curveRows(`rank ${k + 1}`, rank, [])),
        ...domains.flatMap((domain) => curveRows(`domain ${domain.domain}`, domain, [])),
      ],
    },
    legend: [
      { label: 'all', colour: seriesColour(0), mark: 'line' },
      { label: '95 %', colour: seriesColour(0), mark: 'area' },
      ...ranks.map((_, k) => ({ label: rankName(k), colour: seriesColour(k + 1), mark: 'dashed' as const })),
      { label: 'overall', colour: INK, mark: 'dashed' },
    ],
    plot: {
      x: { label: `position in the ${axis}, % of its length`, percent: true, domain: [0, 100], ticks: 5 },
      y: { label: 'dropped, %', percent: true, grid: true, zero: true },
      marks: [
        Plot.areaY(bands, { x: 'place', y1: 'low', y2: 'high', fill: seriesColour(0), fillOpacity: 0.25 }),
        Plot.ruleY(Number.isFinite(overall) ? [overall] : [], { stroke: INK, strokeDasharray: '1 3' }),
        ...ranks.map((rank, k) => Plot.line(binsOf(rank), { x: 'place', y: 'rate', stroke: seriesColour(k + 1), strokeDasharray: '4 3' })),
        Plot.line(binsOf(pooled), { x: 'place', y: 'rate', stroke: seriesColour(0), strokeWidth: 2 }),
      ],
    },
  });
}
