/** Unicode normalization forms with the alignment that `tokenizers` gives them. */
import { type Aligned, type Change, transform } from './aligned.ts';

export type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** A mark of the lowest combining class, and one of the highest: what changes place beside one of them has a class itself. */
const [OVERLAY, SUBSCRIPT] = ['\u0334', '\u0345'];

/** Whether `b` after `a` goes before it in canonical order: a's combining class is higher, and b's is not 0. */
const swaps = (a: string, b: string): boolean => a !== b && (a + b).normalize('NFD') === b + a;

const classed = new Map<string, boolean>();
/** Whether the combining class is not 0. */
function isMark(c: string): boolean {
  if (c < '\u0300') return false;
  let known = classed.get(c);
  if (known === undefined) {
    known = c === OVERLAY || c === SUBSCRIPT || swaps(c, OVERLAY) || swaps(SUBSCRIPT, c);
    classed.set(c, known);
  }
  return known;
}

export function normalizeForm(source: Aligned, form: Form): Aligned {
  const text = source.text.normalize(form);
  if (text === source.text) return source;
  if (!source.starts) return { ...source, text };
  const decomposed = decompose(source.text, form.endsWith('KC') || form.endsWith('KD') ? 'NFKD' : 'NFD');
  return transform(source, form.endsWith('C') ? recompose(decomposed) : decomposed);
}

/** The first character of a decomposition takes the place, the others are new; marks are then put in canonical order. */
function decompose(text: string, form: 'NFD' | 'NFKD'): Change[] {
  const changes: Change[] = [];
  for (const character of text) {
    let first = true;
    for (const part of character.normalize(form)) {
      const change: Change = [part, first ? 0 : 1];
      first = false;
      let place = changes.length;
      if (isMark(part)) while (place > 0 && isMark(changes[place - 1]![0]) && swaps(changes[place - 1]![0], part)) place--;
      changes.splice(place, 0, change);
    }
  }
  return changes;
}

/** Composes starters with what follows; each character swallowed counts as one removed. */
function recompose(changes: readonly Change[]): Change[] {
  const out: Change[] = [];
  // Place of the last starter in `out`; the last mark that stayed behind it.
  let starter = -1;
  let blocking: string | undefined;
  for (const [character, change] of changes) {
    const mark = isMark(character);
    const blocked = blocking !== undefined && !(mark && swaps(character, blocking));
    const whole = starter >= 0 && !blocked ? compose(out[starter]![0], character) : undefined;
    if (whole !== undefined) {
      out[starter] = [whole, out[starter]![1] + change - 1];
      continue;
    }
    out.push([character, change]);
    if (mark) blocking = character;
    else [starter, blocking] = [out.length - 1, undefined];
  }
  return out;
}

function compose(a: string, b: string): string | undefined {
  const whole = (a + b).normalize('NFC');
  return whole.length < (a + b).length && String.fromCodePoint(whole.codePointAt(0)!) === whole ? whole : undefined;
}
