/** Tables of plain values: as CSV, as objects, and the bars beside them. */
export type Cell = string | number | boolean | null | undefined;

/** What a picture shows, as rows; every row has one cell a column. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** RFC 4180 with line feeds; numbers in full precision, nothing for NaN, null and undefined. */
export const csvOf = ({ columns, rows }: Table): string => [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\n`).join('');

function csvCell(cell: Cell): string {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return '';
  const text = String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as objects by column, for JSON; NaN becomes null. */
export const objectsOf = ({ columns, rows }: Table): Readonly<Record<string, Cell>>[] =>
  rows.map((row) => Object.fromEntries(columns.map((name, c) => [name, Number.isNaN(row[c]) ? null : (row[c] ?? null)])));

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar of at most `width` characters in steps of an eighth; `share` 0 to 1, nothing for NaN. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, Number.isNaN(share) ? 0 : share)) * width * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}
