/** Loss over training tokens: training smoothed, validation points, what counting alone reaches. */
import * as Plot from '@observablehq/plot';
import { chart, type Chart, type LegendEntry } from '../chart.ts';
import { decimal } from '../numbers.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

export interface LossPoint {
  readonly step: number;
  readonly tokens: number;
  /** Nats per token. */
  readonly loss: number;
}

/** Nats per token on the validation set. */
export interface Baselines {
  readonly unigram: number;
  readonly bigram: number;
}

export interface LossCurves {
  readonly training: readonly LossPoint[];
  readonly validation: readonly LossPoint[];
  readonly baselines: Baselines;
}

/** The drawn line has about this many points; each is the mean of its stretch of steps. */
const STRETCHES = 120;

/** Means of at most `count` stretches as equal as can be, each at its last step. */
export function smoothed(points: readonly LossPoint[], count: number): LossPoint[] {
  const stretches = Math.min(count, points.length);
  const from = (i: number): number => Math.floor((i * points.length) / stretches);
  return Array.from({ length: stretches }, (_, i) => {
    const stretch = points.slice(from(i), from(i + 1));
    return { ...stretch.at(-1)!, loss: stretch.reduce((sum, { loss }) => sum + loss, 0) / stretch.length };
  });
}

export function lossChart({ training, validation, baselines }: LossCurves): Chart {
  const line = smoothed(training, STRETCHES);
  const bounds = (['unigram', 'bigram'] as const).map((name) => ({ name, loss: baselines[name] }));
  const last = validation.at(-1);
  const legend: LegendEntry[] = [
    { label: 'training, smoothed', colour: seriesColour(0), mark: 'line' },
    { label: 'validation', colour: seriesColour(1), mark: 'dot' },
  ];
  return chart({
    title: 'Loss',
    description:
      `Cross-entropy in nats per token over training tokens. Last validation ${decimal(last?.loss)}; ` +
      `unigram ${decimal(baselines.unigram)}, bigram ${decimal(baselines.bigram)}.`,
    data: {
      columns: ['curve', 'step', 'tokens', 'loss'],
      rows: [
        ...line.map(({ step, tokens, loss }) => ['training', step, tokens, loss]),
        ...validation.map(({ step, tokens, loss }) => ['validation', step, tokens, loss]),
        ...bounds.map(({ name, loss }) => [name, null, null, loss]),
      ],
    },
    legend,
    plot: {
      x: { label: 'training tokens', tickFormat: 's', ticks: 5, domain: [0, Math.max(1, line.at(-1)?.tokens ?? 0, last?.tokens ?? 0)] },
      y: { label: 'nats per token', grid: true },
      marks: [
        Plot.ruleY(bounds, { y: 'loss', stroke: INK, strokeDasharray: '4 3' }),
        Plot.text(bounds, { y: 'loss', text: 'name', frameAnchor: 'right', textAnchor: 'end', dy: -7, fill: INK, stroke: 'var(--paper)' }),
        Plot.line(line, { x: 'tokens', y: 'loss', stroke: seriesColour(0) }),
        Plot.line(validation, { x: 'tokens', y: 'loss', stroke: seriesColour(1), strokeWidth: 1, strokeDasharray: '2 2' }),
        Plot.dot(validation, { x: 'tokens', y: 'loss', fill: seriesColour(1), r: 3 }),
        Plot.ruleX([0], { stroke: QUIET }),
      ],
    },
  });
}
