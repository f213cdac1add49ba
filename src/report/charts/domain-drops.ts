/** Drops of each domain, first against last quarter of the routing group. */
import * as Plot from '@observablehq/plot';
import type { DropCurve, Drops } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { percent } from '../numbers.ts';
import { QUIET, seriesColour } from '../theme.ts';
import { shortened } from './domain-loss.ts';

/** Dropped ÷ slots over the bins from share `from` to share `to` of the length. */
export function quarterRate({ slots, dropped }: DropCurve, from: number, to: number): number {
  const sum = (counts: readonly number[]): number => counts.slice(from * counts.length, to * counts.length).reduce((a, b) => a + b, 0);
  return sum(dropped) / sum(slots);
}

export function domainDropsChart({ domains, axis }: Drops, layer: number): Chart {
  const rows = domains.map((curve) => ({
    domain: curve.heldOut ? `${shortened(curve.domain)} *` : shortened(curve.domain),
    slots: curve.slots.reduce((a, b) => a + b, 0),
    all: quarterRate(curve, 0, 1),
    first: quarterRate(curve, 0, 0.25),
    last: quarterRate(curve, 0.75, 1),
  }));
  return chart({
    title: `Drops by domain, layer ${layer}`,
    description: `Dropped share of the slots in the first and last quarter of the ${axis}, * held out of training.`,
    spoken: `${rows.map(({ domain, first, last }) => `${domain} ${percent(first)} then ${percent(last)}`).join(', ')}.`,
    data: {
      columns: ['layer', 'domain', 'held_out', 'slots', 'drop', 'drop_first_quarter', 'drop_last_quarter'],
      rows: rows.map(({ slots, all, first, last }, d) => [layer, domains[d]!.domain, domains[d]!.heldOut, slots, all, first, last]),
    },
    legend: [
      { label: 'first quarter', colour: QUIET, mark: 'dot' },
      { label: 'last quarter', colour: seriesColour(1), mark: 'dot' },
    ],
    plot: {
      height: 48 + 22 * rows.length,
      marginLeft: 118,
      x: { label: 'dropped, %', percent: true, grid: true, zero: true, ticks: 5 },
      y: { label: null, domain: rows.map(({ domain }) => domain) },
      marks: [
        Plot.link(rows, { x1: 'first', x2: 'last', y1: 'domain', y2: 'domain', stroke: QUIET }),
        Plot.dot(rows, { x: 'first', y: 'domain', stroke: QUIET, fill: 'var(--paper)', r: 3 }),
        Plot.dot(rows, { x: 'last', y: 'domain', fill: seriesColour(1), r: 4 }),
      ],
    },
  });
}
