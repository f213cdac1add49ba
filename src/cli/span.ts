/** Lines made of toned pieces that never grow wider than they may. */
import stringWidth from 'string-width';
import type { Colors } from './terminal.ts';

export type Tone = 'bold' | 'dim' | 'cyan' | 'yellow' | 'red';
/** A piece of a line; without tone it is plain. */
export type Span = readonly [text: string, tone?: Tone];

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** The line in at most `width` columns: what does not fit is cut between characters. Undefined `colors`: plain text. */
export function fit(spans: readonly Span[], width: number, colors?: Colors): string {
  let [line, left] = ['', width];
  for (const [text, tone] of spans) {
    const shown = clip(text, left);
    left = shown === text ? left - stringWidth(shown) : 0; // nothing follows a cut
    line += tone && colors && shown ? colors[tone](shown) : shown;
  }
  return line;
}

function clip(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let [shown, used] = ['', 0];
  for (const { segment } of graphemes.segment(text)) {
    used += stringWidth(segment);
    if (used > width) break;
    shown += segment;
  }
  return shown;
}
