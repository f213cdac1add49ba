/** The parts every section is built from: figures with the data behind them, tables, verdicts, estimates. */
import type { Estimate, ModelVerdict, Verdict } from '../../routing/index.ts';
import type { Chart } from '../chart.ts';
import { html, raw, type Markup } from '../html.ts';
import { DASH, decimal, NOTHING_COUNTED, range, whole } from '../numbers.ts';
import { csvOf, type Table } from '../table.ts';

/** A chart with its name, its data and the command that redraws it. */
export const figure = ({ title, description, svg, data }: Chart, command: string): Markup =>
  html`<figure>
    <p class="figure-title">${title}</p>
    ${raw(svg)}
    <figcaption>${description} Redraw: <code>${command}</code></figcaption>
    ${dataOf(title, data)}
  </figure>`;

export const figures = (charts: readonly Chart[], command: string): Markup =>
  html`<div class="charts">${charts.map((chart) => figure(chart, command))}</div>`;

/** The numbers behind a chart or a table, as CSV. */
export const dataOf = (title: string, data: Table): Markup =>
  html`<details class="csv">
    <summary>Data of ${title} (CSV)</summary>
    <pre tabindex="0" role="region" aria-label="CSV of ${title}">${csvOf(data)}</pre>
  </details>`;

export interface Column {
  readonly name: string;
  readonly right?: boolean;
}
export type Content = string | number | Markup;

/** A table that scrolls sideways where it is too wide; the first cell of a row is its heading. */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Content[])[]): Markup {
  const side = (c: number): Markup | undefined => (columns[c]?.right ? raw('class="r"') : undefined);
  const head = columns.map(({ name }, c) => html`<th scope="col" ${side(c)}>${name}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>
        ${row.map((cell, c) => (c === 0 ? html`<th scope="row" ${side(c)}>${cell}</th>` : html`<td ${side(c)}>${cell}</td>`))}
      </tr> `,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`;
}

const SIGNS: Readonly<Record<ModelVerdict, string>> = {
  holds: '✓',
  fails: '✗',
  mixed: '◐',
  undecided: '?',
  inherited: '↩',
  'layers differ': '≠',
};
const verdictClass = (verdict: ModelVerdict): string => (verdict === 'layers differ' ? 'differ' : verdict);

export const verdictBadge = (verdict: ModelVerdict): Markup =>
  html`<span class="verdict ${verdictClass(verdict)}"><span aria-hidden="true">${SIGNS[verdict]} </span>${verdict}</span>`;

export const judgement = (name: string, { verdict, reason }: { verdict: Verdict; reason: string }): Markup =>
  html`<p>${name}: ${verdictBadge(verdict)} ${reason}.</p>`;

/** Columns of a table of estimates, after the first. */
export const ESTIMATE_COLUMNS: readonly Column[] = ['value', '95 % interval', 'chance', 'n'].map((name) => ({ name, right: true }));

export const estimateCells = (x: Estimate): Content[] => [
  orDash(decimal(x.value)),
  orDash(range(x)),
  orDash(decimal(x.chance)),
  whole(x.n),
];

/** A dash says why to those who cannot see that its row has no n. */
export const orDash = (text: string): Content =>
  text === DASH ? html`<span aria-label="${NOTHING_COUNTED}" role="img">${DASH}</span>` : text;

/** Value and interval in one cell. */
export const inBrackets = (x: Estimate): string => `${decimal(x.value)} [${range(x)}]`;

export const section = (id: string, title: string, ...content: readonly (Markup | undefined)[]): Markup =>
  html`<section id="${id}" aria-labelledby="${`${id}-title`}">
    <h2 id="${`${id}-title`}">${title}</h2>
    ${content.filter((part) => part !== undefined)}
  </section> `;
