/** HTML that is escaped unless it was written here: corpora and generated text are full of markup. */

/** Text that is markup already. Made by `html` only. */
export interface Markup {
  readonly markup: string;
}

type Part = string | number | Markup | undefined | readonly Markup[];

/** Characters that neither HTML nor XML may hold: controls but tab and line breaks, half surrogate pairs, non-characters. */
const FORBIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Any string → one that any XML or HTML document can hold. */
export const clean = (text: string): string => text.replaceAll(FORBIDDEN, '\ufffd');
export const escape = (text: string): string => clean(text).replaceAll(/[&<>"']/g, (c) => ENTITIES[c]!);

/** Tagged template: strings and numbers are escaped, markup and lists of markup are not, undefined is nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: strings.reduce((text, piece, i) => text + rendered(parts[i - 1]) + piece) };
}

function rendered(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'string' || typeof part === 'number') return escape(String(part));
  return 'markup' in part ? part.markup : part.map(({ markup }) => markup).join('');
}

/** Trusts a string to be markup: for SVG that this folder drew. */
export const raw = (markup: string): Markup => ({ markup });

const PICTURES: Readonly<Record<string, string>> = { '\n': '⏎', '\r': '␍', '\t': '⇥' };
/** Controls, line ends, blanks other than the plain one, and marks that would turn or hide the text around them. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\s/gu;

/** Running text in one line, with what cannot be seen spelled out: safe for a terminal too. */
export const unseen = (text: string): string =>
  clean(text.replaceAll(UNSEEN, (c) => PICTURES[c] ?? `‹${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}›`));

/** A token's piece with its blanks visible as well; the empty piece as ∅. */
export const visible = (piece: string): string => unseen(piece).replaceAll(' ', '␣') || '∅';
