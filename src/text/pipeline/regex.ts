/** Oniguruma's regular expressions, as tokenizer.json holds them, to JavaScript's: what the two write differently. */
import { damaged } from '../sentencepiece-model.ts';

/** Unicode's idea of the shorthands; JavaScript's own are ASCII, or differ in U+0085 and U+FEFF. */
const SHORTHANDS: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  S: '\\P{White_Space}',
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  w: '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}',
  h: '0-9a-fA-F',
};
const CLASSES = new Set(['w', 'h']);
const ESCAPES = new Set('nrtfv0bBpPuxk123456789');
const SYNTAX = new Set('^$\\.*+?()[]{}|/-');

/** A global, Unicode-aware expression. Throws UserError E_TOKENIZER for what has no counterpart. */
export function translate(source: string): RegExp {
  const refuse = (what: string): never => {
    throw damaged(`the regular expression ${JSON.stringify(source)} holds ${what}, which is not supported`);
  };
  let [out, inClass, quantified] = ['', false, false];
  const folding: boolean[] = [];
  const literal = (c: string): string => {
    const [low, high] = [c.toLowerCase(), c.toUpperCase()];
    if (!folding.at(-1) || low === high) return c;
    return inClass ? low + high : `[${low}${high}]`;
  };
  for (let i = 0; i < source.length; i++) {
    const c = source[i]!;
    const next = source[i + 1] ?? '';
    if (c === '\\') {
      i++;
      if (next === 'W' || next === 'H' || 'AzZGKRX'.includes(next)) {
        if (next === 'A') out += '^';
        else if (next === 'z') out += '$';
        else if (next === 'W' && !inClass) out += `[^${SHORTHANDS['w']}]`;
        else refuse(`\\${next}`);
      } else if (next in SHORTHANDS) out += CLASSES.has(next) && !inClass ? `[${SHORTHANDS[next]}]` : SHORTHANDS[next];
      else if (ESCAPES.has(next) || SYNTAX.has(next)) out += next === '-' && !inClass ? '-' : `\\${next}`;
      else if (/[a-zA-Z]/.test(next)) refuse(`\\${next}`);
      else out += next;
      // A property's name, or a code point, is copied as it is.
      if ((next === 'p' || next === 'P') && source[i + 1] === '{') {
        const end = source.indexOf('}', i);
        out += source.slice(i + 1, end + 1);
        i = end;
      }
    } else if (inClass) {
      if (c === ']') inClass = false;
      if (c === '[') refuse(next === ':' ? 'a POSIX class' : 'a class within a class');
      if (c === '&' && next === '&') refuse('an intersection of classes');
      out += c === ']' ? c : literal(c);
    } else if (c === '[') {
      inClass = true;
      out += c;
      if (next === '^') out += source[++i];
    } else if (c === '(') {
      const flags = /^\(\?(-?[a-z]+):/.exec(source.slice(i, i + 8));
      if (flags && flags[1] !== 'i') refuse(`(?${flags[1]}:`);
      if (next === '?' && '>#'.includes(source[i + 2] ?? '')) refuse(`(?${source[i + 2]}`);
      if (/^\(\?-?[a-z]+\)/.test(source.slice(i, i + 8))) refuse('a switch of options');
      folding.push(flags !== null || (folding.at(-1) ?? false));
      out += flags ? '(?:' : c;
      if (flags) i += flags[0].length - 1;
    } else {
      if (c === ')') folding.pop();
      if (c === '+' && quantified) refuse('a possessive quantifier');
      quantified = '*+?'.includes(c) && !quantified;
      out += /[a-zA-Z]/.test(c) ? literal(c) : c;
      continue;
    }
    quantified = false;
  }
  try {
    return new RegExp(out, 'gu');
  } catch (error) {
    throw damaged(`the regular expression ${JSON.stringify(source)} is not understood: ${(error as Error).message}`);
  }
}

/** Matches a text as it is written. */
export const literally = (text: string): RegExp => new RegExp(text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');
