/** Deviation over experts by position and by token id (Figs 13, 14), on what a blind router shows at that very n. */
import * as Plot from '@observablehq/plot';
import type { Deviation } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, whole } from '../numbers.ts';
import { INK, seriesColour } from '../theme.ts';

const LEGEND = [
  { label: 'observed', colour: seriesColour(0), mark: 'dot' },
  { label: 'same load, blind', colour: INK, mark: 'dashed' },
] as const;

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const means = (all: readonly Deviation[]): string =>
  `Mean observed ${decimal(mean(all.map(({ value }) => value)))}, blind router with the same loads ${decimal(mean(all.map(({ sameLoad }) => sameLoad)))}`;

export function deviationByPositionChart(layer: number, all: readonly Deviation[]): Chart {
  return chart({
    title: `Deviation over experts by position, layer ${layer}`,
    description: `Standard deviation over experts of the shares of each position's kept slots. ${means(all)}; ${all.length} positions.`,
    data: {
      columns: ['layer', 'position', 'n', 'deviation', 'same_load'],
      rows: all.map(({ at, n, value, sameLoad }) => [layer, at, n, value, sameLoad]),
    },
    legend: LEGEND,
    plot: {
      x: { label: 'position', ticks: 5 },
      y: { label: 'deviation', grid: true, zero: true },
      marks: [
        Plot.dot(all, { x: 'at', y: 'value', fill: seriesColour(0), r: 1.5 }),
        Plot.line(all, { x: 'at', y: 'sameLoad', stroke: INK, strokeDasharray: '4 3' }),
      ],
    },
  });
}

/** Ids named in the chart: those farthest above the blind router. */
const NAMED = 6;

/** Against the number of slots, since the blind router's deviation falls with it. */
export function deviationByTokenChart(layer: number, all: readonly Deviation[], pieceOf: (id: number) => string): Chart {
  const byCount = [...all].sort((a, b) => a.n - b.n);
  const strongest = [...all].sort((a, b) => b.value - b.sameLoad - (a.value - a.sameLoad)).slice(0, NAMED);
  const name = ({ at }: Deviation): string => pieceOf(at);
  const short = (x: Deviation): string => (name(x).length > 12 ? `${name(x).slice(0, 11)}…` : name(x));
  return chart({
    title: `Deviation over experts by token id, layer ${layer}`,
    description: `Standard deviation over experts of the shares of each token id's kept slots, over the number of slots. ${means(all)}; ${all.length} ids.`,
    spoken: `Farthest above: ${strongest.map((x) => `${name(x)} ${decimal(x.value)} (n = ${whole(x.n)})`).join(', ')}.`,
    data: {
      columns: ['layer', 'token_id', 'token', 'n', 'deviation', 'same_load'],
      rows: all.map((x) => [layer, x.at, name(x), x.n, x.value, x.sameLoad]),
    },
    legend: LEGEND,
    plot: {
      marginRight: 60,
      x: { type: 'log', label: 'kept slots of the id', ticks: 4, tickFormat: 's' },
      y: { label: 'deviation', grid: true, zero: true },
      marks: [
        Plot.dot(byCount, { x: 'n', y: 'value', fill: seriesColour(0), fillOpacity: 0.7, r: 2 }),
        Plot.line(byCount, { x: 'n', y: 'sameLoad', stroke: INK, strokeDasharray: '4 3' }),
        Plot.text(strongest, { x: 'n', y: 'value', text: short, dx: 6, textAnchor: 'start', fill: INK, stroke: 'var(--paper)' }),
      ],
    },
  });
}
