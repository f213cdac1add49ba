/** Whole tensors of weights by formula, and the checksum by which fixtures know them. */
import { fillByFormula, type Formula, kindOf } from '../checkpoints/index.ts';

/** `size` values in row-major order of the Hugging Face shape. */
export function formulaValues(name: string, size: number, { seed, scales }: Pick<Formula, 'seed' | 'scales'>): Float32Array {
  const scale = scales[kindOf(name)];
  if (scale === undefined) throw new Error(`formula: no scale for ${name}`);
  const values = new Float32Array(size);
  fillByFormula(name, { seed, scale })(0, values);
  return values;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c >>> 0;
});

/** CRC-32 of the little-endian bytes of these numbers, eight hexadecimal digits. */
export function crc32(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = TABLE[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return ((c ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}
