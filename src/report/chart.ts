/** A chart: SVG that needs nothing around it, its title and description, and the data behind it. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { clean, escape } from './html.ts';
import type { Table } from './table.ts';
import { themed } from './theme.ts';

export interface Chart {
  readonly title: string;
  /** What is shown, and the main number: the caption, and the first that a screen reader says. */
  readonly description: string;
  /** A whole document, light and dark. */
  readonly svg: string;
  readonly data: Table;
}

export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  readonly mark: 'line' | 'dashed' | 'dot' | 'area';
}

export interface Drawing {
  readonly title: string;
  readonly description: string;
  /** The values that a picture shows at a glance, for those who only hear it. */
  readonly spoken?: string;
  readonly data: Table;
  readonly legend?: readonly LegendEntry[];
  readonly plot: Plot.PlotOptions;
}

/** As wide as a telephone; a page scales it up, so that its text is never smaller than drawn. */
export const WIDTH = 360;
const FONT = 11;
/** Mean advance of a character of the font, and the pitch of legend lines. */
const ADVANCE = 5.9;
const PITCH = 16;

const STYLE = `${themed('.chart')}.chart{display:block;max-width:100%;height:auto;background:var(--paper);color:var(--ink);font:${FONT}px system-ui,sans-serif}.chart text{white-space:pre}`;

/** Draws with Plot on a server-side document. Pure: equal drawings give equal bytes. */
export function chart({ title, description, spoken, data, legend = [], plot }: Drawing): Chart {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const placed = placeLegend(legend);
  const figure = Plot.plot({
    width: WIDTH,
    height: 220,
    marginBottom: 38,
    style: { fontSize: `${FONT}px` },
    ...plot,
    document: document as unknown as Document,
    figure: false,
    className: 'chart',
  });
  const height = Number(figure.getAttribute('height')) + placed.height;
  figure.setAttribute('height', `${height}`);
  figure.setAttribute('viewBox', `0 ${-placed.height} ${WIDTH} ${height}`); // the legend stands above what Plot drew
  const said = spoken === undefined ? description : `${description} ${spoken}`;
  return { title, description, data, svg: whole(figure, { title, description: said, legend: placed.markup }) };
}

/** The drawing itself as a document: named for screen readers, styled, without what only its page would understand. */
function whole(figure: Element, { title, description, legend }: { title: string; description: string; legend: string }): string {
  for (const style of figure.querySelectorAll('style')) style.remove();
  for (const inner of figure.querySelectorAll('*')) for (const name of ['aria-label', 'aria-hidden']) inner.removeAttribute(name);
  const names = `<title>${escape(title)}</title><desc>${escape(description)}</desc><style>${STYLE}</style>`;
  const attributes = `xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escape(`${title}. ${description}`)}"`;
  return clean(
    figure.outerHTML.replace(/^<svg [^>]*>/, (open) => `${open.slice(0, -1).replace('<svg', `<svg ${attributes}`)}>${names}${legend}`),
  );
}

/** Entries side by side above the frame, in as many lines as they need. */
function placeLegend(entries: readonly LegendEntry[]): { markup: string; height: number } {
  let [x, line, markup] = [4, 0, ''];
  for (const { label, colour, mark } of entries) {
    const width = 26 + label.length * ADVANCE;
    if (x > 4 && x + width > WIDTH - 4) [x, line] = [4, line + 1];
    const y = 10 + line * PITCH;
    markup += `${SWATCH[mark](x, y, colour)}<text x="${x + 18}" y="${y + 4}" fill="currentColor">${escape(label)}</text>`;
    x += width + 8;
  }
  const height = entries.length > 0 ? (line + 1) * PITCH + 4 : 0;
  return { markup: height > 0 ? `<g text-anchor="start" transform="translate(0,${-height})">${markup}</g>` : '', height };
}

const stroke = (x: number, y: number, colour: string, dash: string): string =>
  `<path d="M${x},${y}h14" stroke="${colour}" stroke-width="2"${dash}/>`;

const SWATCH: Readonly<Record<LegendEntry['mark'], (x: number, y: number, colour: string) => string>> = {
  line: (x, y, colour) => stroke(x, y, colour, ''),
  dashed: (x, y, colour) => stroke(x, y, colour, ' stroke-dasharray="4 3"'),
  dot: (x, y, colour) => `<circle cx="${x + 7}" cy="${y}" r="3.5" fill="${colour}"/>`,
  area: (x, y, colour) => `<rect x="${x}" y="${y - 5}" width="14" height="10" fill="${colour}" fill-opacity="0.3"/>`,
};
