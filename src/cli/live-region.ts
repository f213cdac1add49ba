/** A few lines at the bottom of a terminal that are drawn again and again; other talk scrolls by above them. */
import stringWidth from 'string-width';
import type { Sink } from './terminal.ts';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_BELOW = '\x1b[J';
const up = (rows: number): string => (rows > 0 ? `\x1b[${rows}A` : '') + '\r';

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export interface LiveRegion {
  /** Columns that lines may have: one less than the terminal, so that none wraps. */
  width(): number;
  /** Shows these lines in place of the ones before; as many as the terminal has rows for. */
  draw(lines: readonly string[]): void;
  /** A line that scrolls by above. */
  say(line: string): void;
  /** Leaves the last lines standing and gives the cursor back. */
  close(): void;
}

/** `onExit` calls back when the process ends in any way that lets it, and returns how to take that back. */
export function openLiveRegion(sink: Sink, onExit: (restore: () => void) => () => void): LiveRegion {
  let drawn: readonly string[] = [];
  let open = true;
  const columns = (): number => Math.max(2, sink.columns ?? DEFAULT_COLUMNS);
  // Lines may have wrapped since: the terminal may have become narrower.
  const height = (): number => drawn.reduce((rows, line) => rows + Math.max(1, Math.ceil(stringWidth(line) / columns())), 0);
  const close = (): void => {
    if (!open) return;
    open = false;
    sink.write(SHOW_CURSOR);
    forget();
  };
  const forget = onExit(close);
  sink.write(HIDE_CURSOR);
  // One write: no flicker, and nothing of others in between.
  const redraw = (above: string, lines: readonly string[]): void => {
    const shown = lines.slice(0, Math.max(1, (sink.rows ?? DEFAULT_ROWS) - 1));
    sink.write(up(height()) + CLEAR_BELOW + above + shown.map((line) => `${line}\n`).join(''));
    drawn = shown;
  };
  return {
    width: () => columns() - 1,
    draw: (lines) => redraw('', lines),
    say: (line) => redraw(`${line}\n`, drawn),
    close,
  };
}

/** When this process ends. */
export function atExit(restore: () => void): () => void {
  process.on('exit', restore);
  return () => process.off('exit', restore);
}
