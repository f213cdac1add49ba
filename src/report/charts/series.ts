/** Lines of one quantity over training steps, one a layer: balance loss, dropped share. */
import * as Plot from '@observablehq/plot';
import { chart, type Chart } from '../chart.ts';
import { decimal, percent } from '../numbers.ts';
import { INK, SERIES, seriesColour } from '../theme.ts';
import type { LayerStep } from './load-over-time.ts';

export interface LayerSteps {
  readonly layer: number;
  readonly steps: readonly LayerStep[];
}

interface Quantity {
  readonly title: string;
  readonly about: string;
  readonly name: string;
  readonly of: (step: LayerStep) => number;
  readonly share: boolean;
  readonly bound?: { readonly at: number; readonly label: string };
}

const dropped = ({ routing: { dropped, slotsByPosition } }: LayerStep): number => dropped / slotsByPosition.reduce((a, b) => a + b, 0);

export const droppedOverTimeChart = (layers: readonly LayerSteps[]): Chart =>
  seriesChart(layers, {
    title: 'Dropped slots over training',
    about: 'Share of the slots of a step that found no room',
    name: 'dropped',
    of: dropped,
    share: true,
  });

export const balanceOverTimeChart = (layers: readonly LayerSteps[], balanced: number): Chart =>
  seriesChart(layers, {
    title: 'Balance loss over training',
    about: 'Load-balancing loss of a step',
    name: 'balance_loss',
    of: ({ balanceLoss }) => balanceLoss,
    share: false,
    bound: { at: balanced, label: 'at balance' },
  });

function seriesChart(layers: readonly LayerSteps[], { title, about, name, of, share, bound }: Quantity): Chart {
  const points = layers.flatMap(({ layer, steps }, i) => steps.map((step) => ({ layer, i, step: step.step, value: of(step) })));
  const print = share ? percent : decimal;
  const ends = layers.map(({ layer, steps }) => `layer ${layer} ${print(steps.length > 0 ? of(steps.at(-1)!) : NaN)}`);
  const dashed = (i: number): boolean => i >= SERIES;
  return chart({
    title,
    description: `${about}, one line a layer. At the end: ${ends.join(', ')}.${bound ? ` ${decimal(bound.at)} ${bound.label}.` : ''}`,
    data: { columns: ['layer', 'step', name], rows: points.map(({ layer, step, value }) => [layer, step, value]) },
    legend: [
      ...layers.map(({ layer }, i) => ({
        label: `layer ${layer}`,
        colour: seriesColour(i),
        mark: dashed(i) ? ('dashed' as const) : ('line' as const),
      })),
      ...(bound ? [{ label: bound.label, colour: INK, mark: 'dashed' as const }] : []),
    ],
    plot: {
      x: { label: 'step', ticks: 5 },
      y: { label: share ? 'share of slots' : null, percent: share, grid: true, zero: share },
      marks: [
        ...(bound ? [Plot.ruleY([bound.at], { stroke: INK, strokeDasharray: '4 3' })] : []),
        ...layers.map((_, i) =>
          Plot.line(
            points.filter((p) => p.i === i),
            { x: 'step', y: 'value', stroke: seriesColour(i), ...(dashed(i) && { strokeDasharray: '4 3' }) },
          ),
        ),
      ],
    },
  });
}
