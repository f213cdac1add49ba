/** Domain polygons (Figs 5–8), one small polar plot a domain: its shares over the experts, on the polygon of all domains pooled. */
import * as Plot from '@observablehq/plot';
import type { Polygon } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { percent } from '../numbers.ts';
import { INK, LINE, QUIET, seriesColour } from '../theme.ts';
import { shortened } from './domain-loss.ts';

interface Corner {
  readonly x: number;
  readonly y: number;
  readonly column: number;
  readonly row: number;
}

const COLUMNS = 3;

/** Corners of a closed polygon with these radii, expert 0 in the east, counter-clockwise as in the paper. */
export const corners = (radii: readonly number[]): { readonly x: number; readonly y: number }[] =>
  radii.map((radius, e) => {
    const angle = (2 * Math.PI * e) / radii.length;
    return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });

/** Half the sum of the absolute differences of the shares: 0 the pooled polygon, 1 no expert in common. */
export const distance = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, e) => sum + Math.abs(x - b[e]!), 0) / 2;

export function polygonsChart(layer: number, polygons: readonly Polygon[], pooled: readonly number[]): Chart {
  const drawn = polygons.filter(({ counts }) => counts.some((n) => n > 0));
  const most = Math.max(...pooled, ...drawn.flatMap(({ shares }) => shares));
  const placed = (radii: readonly number[], i: number): Corner[] =>
    corners(radii).map((c) => ({ ...c, column: i % COLUMNS, row: Math.floor(i / COLUMNS) }));
  const facet = { fx: 'column', fy: 'row', x: 'x', y: 'y' };
  const names = drawn.map(({ domain, heldOut }, i) => ({
    ...placed([0], i)[0]!,
    y: most * 1.28,
    text: heldOut ? `${shortened(domain)} *` : shortened(domain),
  }));
  const rim = pooled.map(() => most);
  const spokes = drawn.flatMap((_, i) => placed(rim, i));
  const lines = Math.ceil(drawn.length / COLUMNS);
  return chart({
    title: `Experts by domain, layer ${layer}`,
    description: `One polygon a domain over ${pooled.length} experts, expert 0 in the east, then counter-clockwise; the radius is the share of the domain's kept slots, the rim ${percent(most)}.`,
    spoken: `Distance from all domains pooled: ${drawn.map(({ domain, shares }) => `${domain} ${percent(distance(shares, pooled))}`).join(', ')}.`,
    data: {
      columns: ['layer', 'domain', 'held_out', 'expert', 'kept', 'share', 'pooled_share'],
      rows: polygons.flatMap(({ domain, heldOut, counts, shares }) =>
        counts.map((kept, e) => [layer, domain, heldOut, e, kept, shares[e]!, pooled[e]!]),
      ),
    },
    legend: [
      { label: 'this domain', colour: seriesColour(0), mark: 'area' },
      { label: 'all domains', colour: INK, mark: 'dashed' },
      ...(drawn.some(({ heldOut }) => heldOut) ? [{ label: '* held out of training', colour: 'none', mark: 'dot' as const }] : []),
    ],
    plot: {
      height: 8 + 128 * lines,
      margin: 2,
      marginTop: 4,
      marginBottom: 2,
      x: { axis: null, domain: [-most * 1.15, most * 1.15] },
      y: { axis: null, domain: [-most * 1.1, most * 1.4] },
      fx: { axis: null, padding: 0.04 },
      fy: { axis: null, padding: 0.04 },
      marks: [
        Plot.link(spokes, { ...facet, x1: 0, y1: 0, x2: 'x', y2: 'y', stroke: LINE, strokeWidth: 0.6 }),
        Plot.line(
          drawn.flatMap(({ shares }, i) => placed(shares, i)),
          { ...facet, curve: 'linear-closed', stroke: seriesColour(0), strokeWidth: 1.5, fill: seriesColour(0), fillOpacity: 0.3 },
        ),
        Plot.line(
          drawn.flatMap((_, i) => placed(pooled, i)),
          { ...facet, curve: 'linear-closed', stroke: INK, strokeWidth: 1, strokeDasharray: '3 2' },
        ),
        Plot.text(names, { ...facet, text: 'text', fill: INK }),
        Plot.dot(
          drawn.map((_, i) => placed([most], i)[0]!),
          { ...facet, r: 1.5, fill: QUIET },
        ),
      ],
    },
  });
}
