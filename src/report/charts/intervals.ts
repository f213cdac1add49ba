/** Estimates as dots with their 95 % intervals, each with its own chance mark. */
import * as Plot from '@observablehq/plot';
import type { Estimate } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, range } from '../numbers.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

export interface Row {
  readonly label: string;
  readonly estimate: Estimate;
}

export interface Axis {
  readonly label: string;
  /** Differences and shares are linear; ratios are logarithmic. */
  readonly type: 'linear' | 'log';
  /** A bound of the verdict, drawn through all rows. */
  readonly bound?: number;
}

/** Widest margin for labels, and what each of their characters takes; px. */
const MARGIN = 164;
const ADVANCE = 6;

export function intervalsChart(title: string, rows: readonly Row[], { label, type, bound }: Axis): Chart {
  const shown = rows
    .map(({ label: name, estimate }) => ({ name, ...estimate }))
    .filter(({ value }) => Number.isFinite(value) && (type === 'linear' || value > 0));
  return chart({
    title,
    description: `${rows.length} quantities with their 95 % intervals, each beside its chance; numbers in the table below.`,
    spoken: `${rows.map(({ label: name, estimate }) => `${name} ${decimal(estimate.value)}, interval ${range(estimate)}, chance ${decimal(estimate.chance)}`).join('; ')}.`,
    data: {
      columns: ['quantity', 'value', 'low', 'high', 'chance', 'n'],
      rows: rows.map(({ label: name, estimate: { value, low, high, chance, n } }) => [name, value, low, high, chance, n]),
    },
    legend: [
      { label: 'estimate, 95 % interval', colour: seriesColour(0), mark: 'dot' },
      { label: 'chance', colour: INK, mark: 'dashed' },
      ...(bound === undefined ? [] : [{ label: `bound ${bound}`, colour: seriesColour(1), mark: 'line' as const }]),
    ],
    plot: {
      height: 48 + 24 * rows.length,
      marginLeft: Math.min(MARGIN, 24 + ADVANCE * Math.max(...rows.map(({ label: name }) => name.length))),
      marginRight: 16,
      x:
        type === 'linear'
          ? { label: `${label}, %`, percent: true, grid: true, ticks: 5, nice: true }
          : { label, type, grid: true, ticks: 3, tickFormat: (x: number) => `${x}` },
      y: { label: null, type: 'band', domain: rows.map(({ label: name }) => name) },
      marks: [
        ...(bound === undefined ? [] : [Plot.ruleX([bound], { stroke: seriesColour(1) })]),
        Plot.tickX(shown, { x: 'chance', y: 'name', stroke: INK, strokeWidth: 2, strokeDasharray: '3 2' }),
        Plot.link(
          shown.filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high)),
          { x1: 'low', x2: 'high', y1: 'name', y2: 'name', stroke: seriesColour(0), strokeWidth: 2 },
        ),
        Plot.dot(shown, { x: 'value', y: 'name', fill: seriesColour(0), r: 4 }),
        Plot.ruleX(type === 'linear' ? [0] : [], { stroke: QUIET }),
      ],
    },
  });
}
