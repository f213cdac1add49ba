/** What `inspect` shows: the same numbers for a terminal, a spreadsheet, a picture and a program. */
import type { Chart } from '../chart.ts';
import { csvOf, objectsOf } from '../table.ts';

export interface View {
  /** For a terminal: aligned columns, bars of block characters, no colour. Ends with a line feed. */
  readonly text: string;
  readonly csv: string;
  readonly svg: string;
  /** Plain data; NaN is null. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** The data of the picture are the CSV, and `rows` of the JSON; `facts` stand beside them. */
export const viewOf = (text: string, { svg, data }: Chart, facts: Readonly<Record<string, unknown>>): View => ({
  text,
  svg,
  csv: csvOf(data),
  json: { ...facts, rows: objectsOf(data) },
});
