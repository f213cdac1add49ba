/** Text in columns, as wide as their widest cell. */
import stringWidth from 'string-width';

/** Lines of cells, two blanks apart; columns named in `right` end together instead of beginning together. */
export function inColumns(rows: readonly (readonly string[])[], { right = [] }: { readonly right?: readonly number[] } = {}): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((text, c) => (widths[c] = Math.max(widths[c] ?? 0, stringWidth(text))));
  const cell = (text: string, c: number): string => {
    const blanks = ' '.repeat(widths[c]! - stringWidth(text));
    return right.includes(c) ? blanks + text : text + blanks;
  };
  return rows.map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('');
}
