/** Load, layer × expert: the share of the slots that chose each expert, as a heat map.   E experts. */
import * as Plot from '@observablehq/plot';
import { shares, type LayerLoad } from '../../routing/index.ts';
import { chart, WIDTH, type Chart } from '../chart.ts';
import { decimal, percent } from '../numbers.ts';
import { INK, LINE, seriesColour } from '../theme.ts';

export interface LoadCell {
  readonly layer: number;
  readonly expert: number;
  /** Share of the layer's slots. */
  readonly share: number;
}

/** Narrowest cell that its percentage fits into, px. */
const ROOM = 26;
const MARGIN = 56;

/** Layer by layer, expert by expert: slots of all ranks as chosen, as shares of the layer's. */
export const loadCells = (loads: readonly LayerLoad[]): LoadCell[] =>
  loads.flatMap(({ layer, chosen }) =>
    shares((chosen[0] ?? []).map((_, e) => chosen.reduce((sum, rank) => sum + rank[e]!, 0))).map((share, expert) => ({
      layer,
      expert,
      share,
    })),
  );

export function loadChart(loads: readonly LayerLoad[]): Chart {
  const cells = loadCells(loads);
  const experts = loads[0]?.kept.length ?? 0;
  const wide = (WIDTH - MARGIN - 8) / experts >= ROOM;
  const most = Math.max(...cells.map(({ share }) => share), 2 / experts);
  const of = (load: LayerLoad): string =>
    `layer ${load.layer}: heaviest ${decimal(load.balance.heaviest)} times even, ${load.dead.length} never chosen`;
  return chart({
    title: 'Load by layer and expert',
    description: `Share of a layer's slots that chose each expert; even would be ${percent(1 / experts)}, the darkest cell is ${percent(most)}. ${loads.map(of).join('; ')}.`,
    data: {
      columns: ['layer', 'expert', 'share', 'kept', 'gate_mass', ...(loads[0]?.chosen ?? []).map((_, k) => `chosen_rank_${k + 1}`)],
      rows: loads.flatMap((load, l) =>
        load.kept.map((kept, e) => [
          load.layer,
          e,
          cells[l * experts + e]!.share,
          kept,
          load.gateMass[e]!,
          ...load.chosen.map((rank) => rank[e]!),
        ]),
      ),
    },
    plot: {
      height: 62 + 30 * loads.length,
      marginLeft: MARGIN,
      marginRight: 8,
      x: { label: 'expert', type: 'band', padding: 0.06, ...(experts > 16 && { ticks: everyFourth(experts) }) },
      y: { label: null, type: 'band', padding: 0.08, tickFormat: (layer: number) => `layer ${layer}` },
      marks: [
        Plot.cell(cells, {
          x: 'expert',
          y: 'layer',
          fill: seriesColour(0),
          fillOpacity: ({ share }: LoadCell) => (0.85 * share) / most,
          stroke: LINE,
        }),
        // A dot above the cells twice as heavy as even, a cross in those never chosen: seen without any colour.
        Plot.text(cells, {
          x: 'expert',
          y: 'layer',
          text: (cell: LoadCell) => cellText(cell, { experts, wide }),
          fill: INK,
          fontSize: wide ? 9 : 10,
        }),
      ],
      opacity: { type: 'identity' },
    },
  });
}

const everyFourth = (experts: number): number[] => Array.from({ length: Math.ceil(experts / 4) }, (_, i) => i * 4);

function cellText({ share }: LoadCell, { experts, wide }: { experts: number; wide: boolean }): string {
  if (share === 0) return '×';
  if (wide) return (share * 100).toFixed(1);
  return share * experts >= 2 ? '•' : '';
}
