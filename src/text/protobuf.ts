/** Protocol buffers' wire format, read: fields in the order of the file, every length checked. */

export type Field =
  | { readonly number: number; readonly wire: 'varint'; readonly value: number }
  | { readonly number: number; readonly wire: 'fixed32'; readonly value: number }
  | { readonly number: number; readonly wire: 'bytes'; readonly value: Uint8Array }
  | { readonly number: number; readonly wire: 'skipped' };

/** Bytes of a varint at most: 64 bits, seven at a time. */
const MOST_VARINT = 10;

/** Fields of a message. Throws RangeError when the bytes end inside one, or hold a wire type that no writer makes any more. */
export function* fields(message: Uint8Array): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < MOST_VARINT; i++) {
      const byte = view.getUint8(at++);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new RangeError('a varint has more than ten bytes');
  };
  const skip = (bytes: number): number => {
    if (bytes > message.length - at) throw new RangeError(`a field of ${bytes} bytes ends beyond the message`);
    return (at += bytes);
  };
  while (at < message.length) {
    const tag = varint();
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw new RangeError('a field has the number 0');
    if (wire === 0) yield { number, wire: 'varint', value: varint() };
    else if (wire === 1) yield ((skip(8), { number, wire: 'skipped' }));
    else if (wire === 2) {
      const length = varint();
      const from = at;
      yield { number, wire: 'bytes', value: message.subarray(from, skip(length)) };
    } else if (wire === 5) yield { number, wire: 'fixed32', value: view.getFloat32(skip(4) - 4, true) };
    else throw new RangeError(`wire type ${wire} is not known`);
  }
}
