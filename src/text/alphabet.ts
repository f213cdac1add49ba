/** Byte-level alphabet: each byte has a printable character, so that a vocabulary of byte strings can be written as JSON. */

/** Bytes that stand for themselves: printable Latin-1 (GPT-2's bytes_to_unicode). */
const printable = (b: number): boolean => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;

/** Character of each byte: itself, or the next free code point from U+0100 on. */
export const CHARACTER_OF: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
})();

const BYTE_OF: ReadonlyMap<string, number> = new Map(CHARACTER_OF.map((c, b) => [c, b]));

/** Written form of a byte string. */
export function spell(bytes: Uint8Array): string {
  let written = '';
  for (const b of bytes) written += CHARACTER_OF[b]!;
  return written;
}

/** Byte string of a written form; undefined when a character belongs to no byte. */
export function unspell(written: string): Uint8Array | undefined {
  const bytes = Array.from(written, (c) => BYTE_OF.get(c));
  return bytes.includes(undefined) ? undefined : Uint8Array.from(bytes as number[]);
}
