/** Text in columns, as wide as their widest cell. */
import stringWidth from 'string-width';

/** Lines of cells, two blanks apart; columns named in `right` end together instead of beginning together. */
export function table(rows: readonly (readonly string[])[], { right = [] }: { readonly right?: readonly number[] } = {}): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(0, ...rows.map((row) => stringWidth(row[c] ?? ''))));
  const cell = (text: string, c: number): string => {
    const blanks = ' '.repeat(widths[c]! - stringWidth(text));
    return right.includes(c) ? blanks + text : text + blanks;
  };
  return rows.map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('');
}
