/** Token ids in their contexts: a row for each, with its neighbours and the first expert it went to in every layer. */
import * as Plot from '@observablehq/plot';
import { chart, WIDTH, type Chart } from '../chart.ts';
import type { Table } from '../table.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

export interface ContextRow {
  readonly domain: string;
  readonly before: string;
  readonly token: string;
  readonly after: string;
  /** First choices, by layer. */
  readonly experts: readonly FirstChoice[];
}

export interface FirstChoice {
  readonly layer: number;
  readonly expert: number;
  readonly kept: boolean;
  /** Whether it is the id's most frequent one. */
  readonly favourite: boolean;
}

/** Height of a row, widths of a layer's column and of the token, mean advance of a character; px. */
const PITCH = 20;
const COLUMN = 32;
const TOKEN = 48;
const ADVANCE = 5.6;
/** Layers that leave room for text; deeper models show their first. */
const MOST_LAYERS = 5;

export function tokenContextsChart(title: string, rows: readonly ContextRow[], data: Table): Chart {
  const layers = (rows[0]?.experts ?? []).slice(0, MOST_LAYERS).map(({ layer }) => layer);
  const edge = WIDTH - COLUMN * layers.length;
  const room = Math.floor((edge - TOKEN) / 2 / ADVANCE) - 1;
  const columnOf = (l: number): number => edge + COLUMN * (l + 0.5);
  const cells = rows.flatMap(({ experts }, y) => experts.slice(0, MOST_LAYERS).map((cell, l) => ({ ...cell, y, x: columnOf(l) })));
  const line = (x: number, textAnchor: 'start' | 'middle' | 'end', fill: string, of: (row: ContextRow) => string) =>
    Plot.text(
      rows.map((row, y) => ({ x, y, text: of(row) })),
      { x: 'x', y: 'y', text: 'text', textAnchor, fill, fontSize: 10 },
    );
  const height = PITCH * (rows.length + 1);
  return chart({
    title,
    description: `${rows.length} contexts, a row each; on the right the first expert in layers ${layers.join(', ')}: filled where it is the id's most frequent one, × where it had no room.`,
    spoken: rows.map(({ domain, token, experts }) => `${domain}, ${token}: ${experts.map(({ expert }) => expert).join(', ')}.`).join(' '),
    data,
    plot: {
      height,
      margin: 0,
      marginBottom: 0,
      x: { axis: null, type: 'linear', domain: [0, WIDTH], range: [0, WIDTH] },
      y: { axis: null, type: 'linear', domain: [-1.5, rows.length - 0.5], range: [0, height] },
      opacity: { type: 'identity' },
      marks: [
        Plot.text(
          layers.map((layer, l) => ({ x: columnOf(l), y: -1, text: `L${layer}` })),
          { x: 'x', y: 'y', text: 'text', fill: QUIET, fontSize: 10 },
        ),
        line((edge - TOKEN) / 2, 'end', QUIET, ({ before }) => lastOf(before, room)),
        line(edge / 2, 'middle', INK, ({ token }) => firstOf(token, 7)),
        line((edge + TOKEN) / 2, 'start', QUIET, ({ after }) => firstOf(after, room)),
        Plot.dot(cells, {
          x: 'x',
          y: 'y',
          r: 8.5,
          stroke: seriesColour(0),
          fill: seriesColour(0),
          fillOpacity: ({ favourite }: FirstChoice) => (favourite ? 0.35 : 0),
        }),
        Plot.text(cells, {
          x: 'x',
          y: 'y',
          text: ({ expert, kept }: FirstChoice) => (kept ? `${expert}` : `${expert}×`),
          fill: INK,
          fontSize: 9,
        }),
      ],
    },
  });
}

/** At most so many characters of the beginning, or of the end, with an ellipsis for the rest. */
export function firstOf(text: string, most: number): string {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : text;
}
export function lastOf(text: string, most: number): string {
  const letters = [...text];
  return letters.length > most ? `…${letters.slice(letters.length - most + 1).join('')}` : text;
}
