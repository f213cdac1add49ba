/** Progress of work on many bytes or elements: a line that is drawn again where a person watches, else a line every few seconds. */
import { formatDuration, formatShare } from '../base/index.ts';
import { atExit, openLiveRegion } from './live-region.ts';
import type { Terminal } from './terminal.ts';

const DRAW_EVERY = 100;
const LINE_EVERY = 5000;

export interface ByteProgress {
  show(done: number, all: number, tensor: string): void;
  close(): void;
}

/** `format` writes an amount. */
export function openProgress(terminal: Terminal, format: (amount: number) => string): ByteProgress {
  const region = terminal.live ? openLiveRegion(terminal.err, atExit) : undefined;
  if (region) terminal.divert((line) => region.say(line));
  const started = performance.now();
  let shown = region ? -Infinity : started;
  return {
    show(done, all, tensor) {
      const now = performance.now();
      if (now - shown < (region ? DRAW_EVERY : LINE_EVERY) && done < all) return;
      if (!region && done >= all) return;
      shown = now;
      const seconds = (now - started) / 1000;
      const left = done > 0 ? ` · ${formatDuration((seconds * (all - done)) / done)} left` : '';
      const line = `${formatShare(done / all)} · ${format(done)} of ${format(all)}, ${format(done / seconds)}/s${left} · ${tensor}`;
      if (region) region.draw([line.slice(0, region.width())]);
      else terminal.say(line);
    },
    close() {
      region?.draw([]);
      terminal.divert(undefined);
      region?.close();
    },
  };
}
