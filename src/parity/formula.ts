/** Weights by formula: numbers that need not be shipped (fixtures/torch, "The weight formula"). */
import { fnv1a, mix32 } from '../base/index.ts';

export interface Formula {
  readonly seed: number;
  /** Half the range of a tensor's values, by the last part of its name. */
  readonly scales: Readonly<Record<string, number>>;
}

/** The kind of a tensor: the last part of its Hugging Face name before `.weight`; every norm is "norm". */
const kindOf = (name: string): string => {
  const last = name
    .replace(/\.weight$/, '')
    .split('.')
    .at(-1)!;
  return /norm$/.test(last) ? 'norm' : last;
};

/** `size` values in row-major order of the Hugging Face shape: offset + scale · (2u − 1), u from a hash of seed, name and index. */
export function formulaValues(name: string, size: number, { seed, scales }: Formula): Float32Array {
  const kind = kindOf(name);
  const scale = scales[kind];
  if (scale === undefined) throw new Error(`formula: no scale for ${name}`);
  const offset = kind === 'norm' ? 1 : 0;
  const key = fnv1a(name);
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const u = (mix32(mix32(i + seed) ^ key) >>> 8) / 16_777_216;
    values[i] = offset + scale * (2 * u - 1);
  }
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
