/** Pieces for the eye. */

const ESCAPES: Readonly<Record<string, string>> = { ' ': '␣', '\n': '\\n', '\t': '\\t', '\r': '\\r' };
const hex = (code: number): string => `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`;

/** A text's bytes: `␣` for a space, `\\n`, `\\xE4` for bytes that are no whole character. */
export function readable(bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (b) => (b === 0x20 ? '␣' : b > 0x20 && b < 0x7f ? String.fromCharCode(b) : hex(b))).join('');
  }
  return text.replaceAll(/[ \p{Cc}]/gu, (c) => ESCAPES[c] ?? hex(c.codePointAt(0)!));
}
