/** Drop rate by position in the routing group, all layers in one picture. */
import * as Plot from '@observablehq/plot';
import type { DropLayer } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, percent } from '../numbers.ts';
import { SERIES, seriesColour } from '../theme.ts';
import { binsOf } from './drops.ts';

export function layeredDropsChart(layers: readonly DropLayer[]): Chart {
  const curves = layers.map(({ layer, byGroup: { curve } }, i) => ({ layer, dashed: i >= SERIES, colour: seriesColour(i), curve, bins: binsOf(curve.pooled) }));
  return chart({
    title: 'Drops by position in the group',
    description: `Dropped share of the slots along the routing group, one line a layer. ${layers.map(({ layer, drop, byGroup: { ratio } }) => `Layer ${layer}: ${percent(drop.value)} in all, last ÷ first quarter ${decimal(ratio.value)}`).join('; ')}.`,
    data: {
      columns: ['layer', 'from', 'to', 'slots', 'dropped', 'drop'],
      rows: curves.flatMap(({ layer, curve: { pooled, bins } }) =>
        pooled.slots.map((slots, b) => [layer, b / bins, (b + 1) / bins, slots, pooled.dropped[b]!, pooled.dropped[b]! / slots]),
      ),
    },
    legend: curves.map(({ layer, colour, dashed }) => ({ label: `layer ${layer}`, colour, mark: dashed ? 'dashed' : 'line' })),
    plot: {
      x: { label: 'position in the group, % of its length', percent: true, domain: [0, 100], ticks: 5 },
      y: { label: 'dropped, %', percent: true, grid: true, zero: true },
      marks: curves.map(({ bins, colour, dashed }) => Plot.line(bins, { x: 'place', y: 'rate', stroke: colour, ...(dashed && { strokeDasharray: '4 3' }) })),
    },
  });
}
