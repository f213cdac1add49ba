/** Drop rate by position in the routing group, all layers in one picture. */
import * as Plot from '@observablehq/plot';
import type { DropLayer, EndDrops } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal, percent } from '../numbers.ts';
import type { Cell } from '../table.ts';
import { SERIES, seriesColour } from '../theme.ts';
import { binsOf } from './drops.ts';

export function layeredDropsChart(layers: readonly DropLayer[]): Chart {
  const curves = layers.map(({ layer, byGroup: { curve } }, i) => ({
    layer,
    dashed: i >= SERIES,
    colour: seriesColour(i),
    bins: binsOf(curve.pooled),
  }));
  const ranks = (layers[0]?.byGroup.curve.ranks ?? []).map((_, k) => `drop_rank_${k + 1}`);
  return chart({
    title: 'Drops by position in the group',
    description: `Dropped share of the slots along the routing group, one line a layer. ${layers.map(({ layer, drop, byGroup: { ratio } }) => `Layer ${layer}: ${percent(drop.value)} in all, last ÷ first quarter ${decimal(ratio.value)}`).join('; ')}.`,
    data: {
      columns: ['layer', 'capacity', 'axis', 'from', 'to', 'slots', 'dropped', 'drop', 'low', 'high', ...ranks],
      rows: layers.flatMap((layer) => [layer.byGroup, layer.bySequence].flatMap((end) => binRows(layer, end))),
    },
    legend: curves.map(({ layer, colour, dashed }) => ({ label: `layer ${layer}`, colour, mark: dashed ? 'dashed' : 'line' })),
    plot: {
      x: { label: 'position in the group, % of its length', percent: true, domain: [0, 100], ticks: 5 },
      y: { label: 'dropped, %', percent: true, grid: true, zero: true },
      marks: curves.map(({ bins, colour, dashed }) =>
        Plot.line(bins, { x: 'place', y: 'rate', stroke: colour, ...(dashed && { strokeDasharray: '4 3' }) }),
      ),
    },
  });
}

/** Both axes of a layer, bin by bin. */
const binRows = ({ layer, capacity }: DropLayer, { axis, curve: { bins, pooled, ranks } }: EndDrops): Cell[][] =>
  pooled.drop.map(({ value, low, high, n }, b) => {
    const byRank = ranks.map(({ slots, dropped }) => dropped[b]! / slots[b]!);
    return [layer, capacity, axis, b / bins, (b + 1) / bins, n, pooled.dropped[b]!, value, low, high, ...byRank];
  });
