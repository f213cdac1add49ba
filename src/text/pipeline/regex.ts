/** Oniguruma's regular expressions, as tokenizer.json holds them, to JavaScript's: what the two write differently. */
import { damaged } from '../sentencepiece-model.ts';

/** Unicode's idea of the shorthands; JavaScript's own are ASCII, or differ in U+0085 and U+FEFF. In pairs of a set and what is not in it. */
const SETS: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  d: '\\p{Nd}',
  w: '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}',
  h: '0-9a-fA-F',
};
/** One property, which also has a name for its complement. */
const PLAIN: Readonly<Record<string, string>> = { S: '\\P{White_Space}', D: '\\P{Nd}' };
const ANCHORS: Readonly<Record<string, string>> = { A: '^', z: '$' };
/** Escapes that mean the same, and characters that JavaScript lets be escaped. */
const [SAME, SYNTAX] = [/^[nrtfv0bBxuk1-9]$/, /^[\^$\\.*+?()[\]{}|/]$/];

/** A property, an escape, the beginning of a class or group, a quantifier, or a character. */
const TOKEN = /\\[pP]\{[^}]*\}|\\[^]|\[\^?|\]|\((?:\?(?:<?[=!]|[a-z-]*[:)]|[^]))?|\)|(?:[*+?]|\{\d+(?:,\d*)?\})[?+]?|&&|[^]/gu;

/** A global, Unicode-aware expression. Throws UserError E_TOKENIZER for what has no counterpart. */
export function translate(source: string): RegExp {
  const refuse = (what: string): never => {
    throw damaged(`the regular expression ${JSON.stringify(source)} holds ${what}, which is not supported`, 'tokenizer.json');
  };
  // Whether letters match in both cases, for each open group; whether a class is open.
  const folding = [false];
  let inClass = false;
  const literal = (c: string): string => {
    const both = c.toLowerCase() + c.toUpperCase();
    if (!folding.at(-1) || both === c + c) return c;
    return inClass ? both : `[${both}]`;
  };
  const group = (token: string): string => {
    if (!/^\((\?(<?[=!]|i?:))?$/.test(token)) refuse(`${token}…`);
    folding.push(folding.at(-1)! || token === '(?i:');
    return token.replace('i', '');
  };
  const outside = (token: string): string => {
    if (token.startsWith('\\')) return escaped(token, inClass) ?? refuse(token);
    if (token.startsWith('(')) return group(token);
    if (token === ')') folding.pop();
    if (token.startsWith('[')) inClass = true;
    if (token.length > 1 && token.endsWith('+')) refuse('a possessive quantifier');
    return token.length === 1 && token !== '[' ? literal(token) : token;
  };
  const inside = (token: string): string => {
    if (token.startsWith('\\')) return escaped(token, inClass) ?? refuse(token);
    if (token.startsWith('[') || token === '&&') refuse('a class within a class');
    if (token === ']') inClass = false;
    return token === ']' ? token : Array.from(token, (c) => (/^[()[{}|/]$/.test(c) ? `\\${c}` : literal(c))).join('');
  };
  const translated = source.replaceAll(TOKEN, (token) => (inClass ? inside(token) : outside(token)));
  try {
    return new RegExp(translated, 'gu');
  } catch (error) {
    throw damaged(`the regular expression ${JSON.stringify(source)} is not understood: ${(error as Error).message}`, 'tokenizer.json');
  }
}

/** Undefined for what has no counterpart. */
function escaped(token: string, inClass: boolean): string | undefined {
  const c = token.slice(1);
  if (c.length > 1 || SAME.test(c)) return token;
  const set = SETS[c];
  if (set !== undefined) return inClass ? set : `[${set}]`;
  const complement = SETS[c.toLowerCase()];
  if (PLAIN[c] !== undefined) return PLAIN[c];
  if (complement !== undefined && c !== c.toLowerCase()) return inClass ? undefined : `[^${complement}]`;
  if (!inClass && ANCHORS[c] !== undefined) return ANCHORS[c];
  if (SYNTAX.test(c) || (inClass && c === '-')) return token;
  return /[a-zA-Z]/.test(c) ? undefined : c;
}

/** Matches a text as it is written. */
export const literally = (text: string): RegExp => new RegExp(text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');
