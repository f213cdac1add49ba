/** UTF-8 byte by byte, with one U+FFFD for each byte that belongs to no character, as SentencePiece decodes byte pieces. */

const REPLACEMENT = '\uFFFD';

/** Least second byte and most, by the first: what keeps a character in its shortest form, out of the surrogates, below U+110000. */
function secondRange(lead: number): readonly [number, number] {
  if (lead === 0xe0) return [0xa0, 0xbf];
  if (lead === 0xed) return [0x80, 0x9f];
  if (lead === 0xf0) return [0x90, 0xbf];
  if (lead === 0xf4) return [0x80, 0x8f];
  return [0x80, 0xbf];
}

const lengthOf = (lead: number): number =>
  lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;

/** Whether `bytes` can begin a character. */
function begins(bytes: readonly number[]): boolean {
  const length = lengthOf(bytes[0]!);
  if (length === 0 || bytes.length > length) return false;
  const [least, most] = secondRange(bytes[0]!);
  return bytes.every((b, i) => i === 0 || (i === 1 ? b >= least && b <= most : b >= 0x80 && b <= 0xbf));
}

/** Gives each character when its last byte has come. */
export function characterDecoder(): { push(byte: number): string; flush(): string } {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let held: number[] = [];
  const settle = (final: boolean): string => {
    let text = '';
    while (held.length > 0) {
      if (begins(held)) {
        if (held.length < lengthOf(held[0]!) && !final) return text;
        if (held.length === lengthOf(held[0]!)) {
          text += decoder.decode(Uint8Array.from(held));
          held = [];
          continue;
        }
      }
      // The first byte belongs to no character; those after it may.
      text += REPLACEMENT;
      const rest = held.slice(1);
      held = [];
      for (const byte of rest) {
        held.push(byte);
        if (!begins(held) || held.length === lengthOf(held[0]!)) text += settle(false);
      }
    }
    return text;
  };
  return {
    push(byte) {
      held.push(byte);
      return settle(false);
    },
    flush: () => settle(true),
  };
}
