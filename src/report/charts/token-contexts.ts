/** One token id in its contexts: a row for each, with its neighbours and the first expert it went to in every layer. */
import * as Plot from '@observablehq/plot';
import { chart, WIDTH, type Chart } from '../chart.ts';
import { INK, QUIET, seriesColour } from '../theme.ts';

export interface ContextRow {
  readonly domain: string;
  readonly before: string;
  readonly token: string;
  readonly after: string;
  /** First choice and its fate, by layer. */
  readonly experts: readonly { readonly layer: number; readonly expert: number; readonly kept: boolean; readonly favourite: boolean }[];
}

const PITCH = 20;
/** Characters on either side of the token that fit, and the width of a layer's column. */
const SIDE = 17;
const COLUMN = 34;

/** Rows of several ids stand one after another. Filled: the id's most frequent expert of that layer; struck out: no room. */
export function tokenContextsChart(title: string, rows: readonly ContextRow[]): Chart {
  const layers = rows[0]?.experts.map(({ layer }) => layer) ?? [];
  const edge = WIDTH - COLUMN * layers.length;
  const middle = edge / 2;
  const cells = rows.flatMap(({ experts }, row) => experts.map((cell, l) => ({ ...cell, row, x: edge + COLUMN * (l + 0.5) })));
  const text = (of: (row: ContextRow) => string) => rows.map((row, y) => ({ y, text: of(row) }));
  const at = (x: number, textAnchor: 'start' | 'middle' | 'end', fill: string) => ({ x: () => x, y: 'y', text: 'text', textAnchor, fill, fontSize: 10 });
  const half = Math.max(2, Math.round((SIDE * middle) / 130));
  return chart({
    title,
    description: `${rows.length} contexts, one a row; on the right the first expert in layers ${layers.join(', ')}. Filled where it is the id's most frequent expert, hollow elsewhere, × where it found no room.`,
    spoken: rows.map(({ domain, before, token, after, experts }) => `${domain}: ${before}[${token}]${after} to ${experts.map(({ expert }) => expert).join(', ')}.`).join(' '),
    data: {
      columns: ['domain', 'before', 'token', 'after', ...layers.flatMap((layer) => [`expert_layer_${layer}`, `kept_layer_${layer}`])],
      rows: rows.map(({ domain, before, token, after, experts }) => [domain, before, token, after, ...experts.flatMap(({ expert, kept }) => [expert, kept])]),
    },
    plot: {
      height: PITCH * (rows.length + 1) + 4,
      margin: 0,
      marginTop: 0,
      marginBottom: 0,
      x: { axis: null, domain: [0, WIDTH], type: 'linear', range: [0, WIDTH] },
      y: { axis: null, domain: [-1.5, Math.max(1, rows.length) - 0.5], type: 'linear', range: [0, PITCH * (rows.length + 1)] },
      marks: [
        Plot.text(layers.map((layer, l) => ({ y: -1, text: `L${layer}`, x: edge + COLUMN * (l + 0.5) })), { x: 'x', y: 'y', text: 'text', fill: QUIET, fontSize: 10 }),
        Plot.text(text(({ before, token }) => ending(before, half - Math.ceil(token.length / 2))), at(middle - 22, 'end', QUIET)),
        Plot.text(text(({ token }) => beginning(token, 8)), { ...at(middle, 'middle', INK), fontWeight: 700 }),
        Plot.text(text(({ token, after }) => beginning(after, half - Math.ceil(token.length / 2))), at(middle + 22, 'start', QUIET)),
        Plot.dot(cells, { x: 'x', y: 'row', r: 8.5, stroke: seriesColour(0), fill: seriesColour(0), fillOpacity: (cell: { favourite: boolean }) => (cell.favourite ? 0.35 : 0) }),
        Plot.text(cells, { x: 'x', y: 'row', text: ({ expert, kept }: { expert: number; kept: boolean }) => (kept ? `${expert}` : `${expert}×`), fill: INK, fontSize: 9 }),
      ],
      opacity: { type: 'identity' },
    },
  });
}

const beginning = (text: string, most: number): string => ([...text].length > most ? `${[...text].slice(0, Math.max(1, most - 1)).join('')}…` : text);
const ending = (text: string, most: number): string => ([...text].length > most ? `…${[...text].slice(1 - Math.max(2, most)).join('')}` : text);
