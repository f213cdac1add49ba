/** Where UTF-8 goes wrong. */

/** Offset of the first byte that cannot stand where it stands (the length, when the last character is cut off); undefined when all is well. */
export function badByte(bytes: Uint8Array): number | undefined {
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i]!;
    if (lead < 0x80) {
      i++;
      continue;
    }
    const length = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (length === 0) return i;
    for (let k = 1; k < length; k++) if (i + k >= bytes.length || !continues(lead, k, bytes[i + k]!)) return i + k;
    i += length;
  }
  return undefined;
}

/** The second byte has a narrower range after E0, ED, F0 and F4: no overlong forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
function continues(lead: number, k: number, byte: number): boolean {
  const low = k > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = k > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
}
