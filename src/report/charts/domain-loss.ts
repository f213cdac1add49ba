/** Validation loss of each domain, first against last evaluation. */
import * as Plot from '@observablehq/plot';
import { chart, type Chart } from '../chart.ts';
import { decimal } from '../numbers.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

export interface DomainLoss {
  readonly step: number;
  /** Nats per token. */
  readonly byDomain: Readonly<Record<string, number>>;
}

export function domainLossChart(validation: readonly DomainLoss[]): Chart {
  const [first, last] = [validation[0], validation.at(-1)];
  const ends = Object.entries(last?.byDomain ?? {})
    .map(([domain, end]) => ({ domain, start: first?.byDomain[domain] ?? end, end }))
    .sort((a, b) => a.end - b.end);
  return chart({
    title: 'Validation loss by domain',
    description: `Nats per token at step ${first?.step ?? 0} (hollow) and step ${last?.step ?? 0} (filled), lowest first.`,
    spoken: `${ends.map(({ domain, end }) => `${domain} ${decimal(end)}`).join(', ')}.`,
    data: {
      columns: ['domain', 'step', 'loss'],
      rows: validation.flatMap(({ step, byDomain }) => Object.entries(byDomain).map(([domain, loss]) => [domain, step, loss])),
    },
    legend: [
      { label: `step ${first?.step ?? 0}`, colour: QUIET, mark: 'dot' },
      { label: `step ${last?.step ?? 0}`, colour: seriesColour(0), mark: 'dot' },
    ],
    plot: {
      height: 48 + 22 * ends.length,
      marginLeft: 110,
      marginRight: 44,
      x: { label: 'nats per token', grid: true, ticks: 5 },
      y: { label: null, domain: ends.map(({ domain }) => domain), tickFormat: (domain: string) => shortened(domain) },
      marks: [
        Plot.link(ends, { x1: 'start', x2: 'end', y1: 'domain', y2: 'domain', stroke: QUIET }),
        Plot.dot(ends, { x: 'start', y: 'domain', stroke: QUIET, fill: 'var(--paper)', r: 3 }),
        Plot.dot(ends, { x: 'end', y: 'domain', fill: seriesColour(0), r: 4 }),
        Plot.text(ends, {
          y: 'domain',
          text: ({ end }: { end: number }) => end.toFixed(2),
          frameAnchor: 'right',
          dx: 40,
          textAnchor: 'end',
          fill: INK,
        }),
      ],
    },
  });
}

/** Names longer than the margin of a chart, cut. */
export const shortened = (name: string, most = 17): string => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
