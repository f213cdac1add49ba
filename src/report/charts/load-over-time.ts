/** Load over training, one layer: each expert's share of the slots, the heaviest and lightest at the end named. */
import * as Plot from '@observablehq/plot';
import { shares, type StepRouting } from '../../routing/index.ts';
import { chart, type Chart } from '../chart.ts';
import { percent } from '../numbers.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

/** The sums of one layer and step. */
export interface LayerStep {
  readonly step: number;
  readonly routing: StepRouting;
  readonly balanceLoss: number;
}

interface Point {
  readonly step: number;
  readonly expert: number;
  readonly share: number;
}

export function loadOverTimeChart(layer: number, steps: readonly LayerStep[]): Chart {
  const points = steps.flatMap(({ step, routing: { load } }): Point[] =>
    shares((load[0] ?? []).map((_, e) => load.reduce((sum, rank) => sum + rank[e]!, 0))).map((share, expert) => ({ step, expert, share })),
  );
  const end = points.filter(({ step }) => step === steps.at(-1)?.step).sort((a, b) => b.share - a.share);
  const [heaviest, lightest] = [end[0], end.at(-1)];
  const even = 1 / Math.max(1, end.length);
  const drawn = (expert: number | undefined): Point[] => points.filter((point) => point.expert === expert);
  const named = (x: Point | undefined): string => (x ? `expert ${x.expert}, ${percent(x.share)}` : 'none');
  return chart({
    title: `Load over training, layer ${layer}`,
    description: `Share of the slots of a step that chose each of ${end.length} experts; even is ${percent(even)}. At the end the heaviest is ${named(heaviest)}, the lightest ${named(lightest)}.`,
    data: {
      columns: ['layer', 'step', 'expert', 'share', 'balance_loss'],
      rows: steps.flatMap(({ step, balanceLoss }) =>
        points.filter((p) => p.step === step).map(({ expert, share }) => [layer, step, expert, share, balanceLoss]),
      ),
    },
    legend: [
      { label: `heaviest: ${heaviest?.expert ?? ''}`, colour: seriesColour(1), mark: 'line' },
      { label: `lightest: ${lightest?.expert ?? ''}`, colour: seriesColour(0), mark: 'line' },
      { label: 'others', colour: QUIET, mark: 'line' },
      { label: 'even', colour: INK, mark: 'dashed' },
    ],
    plot: {
      x: { label: 'step', ticks: 5 },
      y: { label: 'share of slots', percent: true, grid: true, zero: true },
      marks: [
        Plot.line(points, { x: 'step', y: 'share', z: 'expert', stroke: QUIET, strokeWidth: 0.7, strokeOpacity: 0.7 }),
        Plot.ruleY([even], { stroke: INK, strokeDasharray: '4 3' }),
        Plot.line(drawn(lightest?.expert), { x: 'step', y: 'share', stroke: seriesColour(0), strokeWidth: 2 }),
        Plot.line(drawn(heaviest?.expert), { x: 'step', y: 'share', stroke: seriesColour(1), strokeWidth: 2 }),
      ],
    },
  });
}
