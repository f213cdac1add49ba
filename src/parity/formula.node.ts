/** Whole tensors of weights by formula, and the checksum by which fixtures know them. */
import { crc32 } from 'node:zlib';
import { fillByFormula, type Formula, kindOf } from '../checkpoints/index.ts';

/** `size` values in row-major order of the Hugging Face shape. */
export function formulaValues(name: string, size: number, { seed, scales }: Pick<Formula, 'seed' | 'scales'>): Float32Array {
  const scale = scales[kindOf(name)];
  if (scale === undefined) throw new Error(`formula: no scale for ${name}`);
  const values = new Float32Array(size);
  fillByFormula(name, { seed, scale })(0, values);
  return values;
}

/** CRC-32 of the little-endian bytes of these numbers. */
export const crc32Of = (values: Float32Array): number => crc32(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
