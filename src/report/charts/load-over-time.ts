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
  /** The last step of its stretch. */
  readonly step: number;
  readonly expert: number;
  readonly share: number;
}

/** A line has about this many points: one batch holds few domains, so single steps are mostly noise. */
const STRETCHES = 40;

/** Shares of the slots, all choices of a stretch of steps counted together. */
export function loadPoints(steps: readonly LayerStep[], count: number): Point[] {
  const stretches = Math.min(count, steps.length);
  const from = (i: number): number => Math.floor((i * steps.length) / stretches);
  return Array.from({ length: stretches }, (_, i) => steps.slice(from(i), from(i + 1))).flatMap((stretch) => {
    const ranks = stretch.flatMap(({ routing: { load } }) => load);
    const counts = (ranks[0] ?? []).map((_, e) => ranks.reduce((sum, rank) => sum + rank[e]!, 0));
    return shares(counts).map((share, expert) => ({ step: stretch.at(-1)!.step, expert, share }));
  });
}

export function loadOverTimeChart(layer: number, steps: readonly LayerStep[]): Chart {
  const points = loadPoints(steps, STRETCHES);
  const end = points.filter(({ step }) => step === steps.at(-1)?.step).sort((a, b) => b.share - a.share);
  const [heaviest, lightest] = [end[0], end.at(-1)];
  const even = 1 / Math.max(1, end.length);
  const drawn = (expert: number | undefined): Point[] => points.filter((point) => point.expert === expert);
  const named = (x: Point | undefined): string => (x ? `expert ${x.expert}, ${percent(x.share)}` : 'none');
  return chart({
    title: `Load over training, layer ${layer}`,
    description: `Share of the slots that chose each of ${end.length} experts, a few steps together; even is ${percent(even)}. At the end the heaviest is ${named(heaviest)}, the lightest ${named(lightest)}.`,
    data: {
      columns: ['layer', 'up_to_step', 'expert', 'share'],
      rows: points.map(({ step, expert, share }) => [layer, step, expert, share]),
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
