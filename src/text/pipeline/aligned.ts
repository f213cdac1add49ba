/** Text that was changed, and which code points of the source each of its own stands for: the alignments of `tokenizers`. */

/** Alignments are kept only where somebody asks for offsets. */
export interface Aligned {
  readonly text: string;
  /** Of each code point of the text, the first of the source, and the one after the last. */
  readonly starts: readonly number[] | undefined;
  readonly ends: readonly number[] | undefined;
  /** Without alignments, where somebody asks what begins the source: 0 where the first character comes from its first, else not 0. */
  readonly start?: number | undefined;
}

/** How much of the alignment is kept: all, whether a part begins the source, or nothing. */
export type Tracking = 'all' | 'start' | 'none';

/** One character of a changed text. 0: takes the place of one; 1: is new; −n: takes the place of one, and n after it go. */
export type Change = readonly [character: string, change: number];

export function aligned(text: string, tracking: Tracking): Aligned {
  if (tracking !== 'all') return { text, starts: undefined, ends: undefined, start: tracking === 'start' ? 0 : undefined };
  const count = codePoints(text, text.length);
  return { text, starts: Array.from({ length: count }, (_, i) => i), ends: Array.from({ length: count }, (_, i) => i + 1) };
}

/** Code points in `text[0, end)`. */
export function codePoints(text: string, end: number): number {
  let count = 0;
  for (let i = 0; i < end; i++) {
    const unit = text.charCodeAt(i);
    // The second half of a pair belongs to the first.
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}

/** The parts between cuts: from, to, from, to, … in ascending order. */
export function slices(source: Aligned, cuts: readonly number[]): Aligned[] {
  const { text, starts, ends, start } = source;
  const parts: Aligned[] = [];
  for (let i = 0, unit = 0, point = 0; i < cuts.length; i += 2) {
    const [from, to] = [cuts[i]!, cuts[i + 1]!];
    const part = text.slice(from, to);
    if (!starts || !ends) parts.push({ text: part, starts, ends, start: start === undefined ? undefined : start + from });
    else {
      const first = point + codePoints(text.slice(unit, from), from - unit);
      point = first + codePoints(part, part.length);
      unit = to;
      parts.push({ text: part, starts: starts.slice(first, point), ends: ends.slice(first, point) });
    }
  }
  return parts;
}

/** Where the first character comes from; 0 in an empty text. */
export const startOf = ({ starts, start }: Aligned): number => starts?.[0] ?? start ?? 0;

/** A text written anew, with the alignment that the changes say. */
export function transform(source: Aligned, changes: readonly Change[]): Aligned {
  const text = changes.map(([c]) => c).join('');
  if (!source.starts || !source.ends) return { ...source, text };
  const [starts, ends]: [number[], number[]] = [[], []];
  let at = 0;
  for (const [, change] of changes) {
    const place = change > 0 ? at - 1 : at;
    starts.push(source.starts[place] ?? 0);
    ends.push(source.ends[place] ?? 0);
    if (change <= 0) at += 1 - change;
  }
  return { text, starts, ends };
}

/** Puts `text` in front; it stands for what the first character stands for. */
export function prepend(source: Aligned, text: string): Aligned {
  if (source.text === '') return source;
  if (!source.starts || !source.ends) return { ...source, text: text + source.text };
  const count = codePoints(text, text.length);
  const before = (list: readonly number[]): number[] => [...Array.from({ length: count }, () => list[0]!), ...list];
  return { text: text + source.text, starts: before(source.starts), ends: before(source.ends) };
}

/** Puts `content` in the place of each match; it stands for the last character that it replaces. */
export function replaceMatches(source: Aligned, pattern: RegExp, content: string): Aligned {
  if (!source.starts || !source.ends) return { ...source, text: source.text.replace(pattern, () => content) };
  const [starts, ends]: [number[], number[]] = [[], []];
  const { text } = source;
  const length = codePoints(content, content.length);
  let [done, place] = [0, 0];
  const keep = (to: number): void => {
    for (const end = place + codePoints(text.slice(done, to), to - done); place < end; place++) {
      starts.push(source.starts![place]!);
      ends.push(source.ends![place]!);
    }
    done = to;
  };
  for (const match of text.matchAll(pattern)) {
    keep(match.index);
    place += codePoints(match[0], match[0].length);
    done += match[0].length;
    for (let i = 0; i < length; i++) {
      starts.push(source.starts[place - 1] ?? 0);
      ends.push(source.ends[place - 1] ?? 0);
    }
  }
  keep(text.length);
  return { text: text.replace(pattern, () => content), starts, ends };
}
