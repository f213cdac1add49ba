/** The safetensors container: 8 bytes of header length, a JSON header, then the tensors' bytes without gap or overlap. */
import { concat } from './bytes.ts';
import { EXIT, UserError } from './errors.ts';

/** Bits of one element, by the format's own names of its types. */
const BITS = {
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
  F32: 32,
  I32: 32,
  U32: 32,
  F16: 16,
  BF16: 16,
  I16: 16,
  U16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  I8: 8,
  U8: 8,
  BOOL: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

export type SafeDType = keyof typeof BITS;

export interface SafeTensorSpec {
  readonly name: string;
  readonly dtype: SafeDType;
  /** Row-major, little-endian. */
  readonly shape: readonly number[];
}

export interface SafeTensor extends SafeTensorSpec {
  /** First byte in the file, counted from the file's start. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

export interface SafeHeader {
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit; a longer header is an attack or a mistake. */
const LONGEST_HEADER = 100_000_000;

const damaged = (place: string, message: string): UserError => new UserError('E_SAFETENSORS', EXIT.damaged, { message, place });

/** Length in bytes of the JSON header, from a file's first 8 bytes. Throws E_SAFETENSORS (damaged) when the file cannot hold it. */
export function headerLength(first: Uint8Array, fileSize: number, place: string): number {
  if (fileSize < 8 || first.length < 8)
    throw damaged(place, `the file has ${Math.min(fileSize, first.length)} bytes, not even a header length`);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > LONGEST_HEADER) throw damaged(place, `header length ${length} is above the format's limit of ${LONGEST_HEADER}`);
  if (Number(length) > fileSize - 8) throw damaged(place, `header length ${length} reaches beyond the file of ${fileSize} bytes`);
  return Number(length);
}

/**
 * Reads and checks the whole header. `bytes` are the file's first bytes, `headerLength` + 8 of them at least.
 * Throws E_SAFETENSORS (damaged), naming the tensor and the reason, for anything that the format does not allow.
 */
export function readHeader(bytes: Uint8Array, fileSize: number, place: string): SafeHeader {
  const length = headerLength(bytes, fileSize, place);
  if (bytes.length < 8 + length) throw damaged(place, `the header ends after ${bytes.length - 8} of its ${length} bytes`);
  const { __metadata__: metadata, ...entries } = parseJson(bytes.subarray(8, 8 + length), place);
  const tensors = Object.entries(entries)
    .map(([name, entry]) => readTensor(name, entry, 8 + length, place))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCover(tensors, 8 + length, fileSize, place);
  return { tensors: new Map(tensors.map((t) => [t.name, t])), metadata: readMetadata(metadata, place) };
}

function parseJson(bytes: Uint8Array, place: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw damaged(place, 'the header is not UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(place, `the header is not JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  if (!isObject(value)) throw damaged(place, 'the header is not a JSON object');
  const flaw = flawOf(text);
  if (flaw !== undefined) throw damaged(place, `the header holds ${flaw}`);
  return value;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * What JSON.parse hides: a key that an object holds twice (it keeps the last), a number that is not written as a count (4.8e1 becomes 48).
 * The text must be valid.
 */
function flawOf(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const c = json[i]!;
    if (c === '{' || c === '[') open.push(new Set());
    else if (c === '}' || c === ']') open.pop();
    else if (/[-.]/.test(c) || (/e/i.test(c) && /\d/.test(json[i - 1]!)))
      return 'a number that is not whole and ≥ 0: shape and data_offsets are';
    if (c !== '"') continue;
    const start = i++;
    while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
    let next = i + 1;
    while (' \t\r\n'.includes(json[next] ?? '.')) next++;
    if (json[next] !== ':') continue;
    const key = JSON.parse(json.slice(start, i + 1)) as string;
    if (open.at(-1)!.has(key)) return `${JSON.stringify(key)} twice`;
    open.at(-1)!.add(key);
  }
  return undefined;
}

function readTensor(name: string, entry: unknown, dataStart: number, place: string): SafeTensor {
  const bad = (reason: string): UserError => damaged(place, `tensor ${JSON.stringify(name)}: ${reason}`);
  if (/\p{Surrogate}/u.test(name)) throw bad('the name is not valid Unicode');
  if (!isObject(entry)) throw bad('its entry is not an object');
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(BITS, dtype)) throw bad(`unknown dtype ${JSON.stringify(dtype)?.slice(0, 40)}`);
  if (!isSizes(shape)) throw bad('shape is not a list of whole numbers ≥ 0');
  if (!isSizes(offsets) || offsets.length !== 2) throw bad('data_offsets are not two whole numbers ≥ 0');
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw bad(`data_offsets end at ${end}, before they begin at ${begin}`);
  const size = byteSize({ dtype: dtype as SafeDType, shape });
  if (size !== end - begin)
    throw bad(
      `shape [${shape.slice(0, 9).join(',')}] of ${dtype} takes ${size ?? 'no whole number of'} bytes, its range has ${end - begin}`,
    );
  return { name, dtype: dtype as SafeDType, shape, begin: dataStart + begin, end: dataStart + end };
}

const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** Bytes of a tensor; undefined when that is no whole number below 2^50. */
function byteSize({ dtype, shape }: Omit<SafeTensorSpec, 'name'>): number | undefined {
  let elements = 1;
  for (const n of shape) {
    elements *= n;
    if (elements > 2 ** 50) return undefined; // below, the product and its 64-fold stay far from rounding a wrong size into a right one
  }
  const bytes = elements * (BITS[dtype] / 8);
  return Number.isInteger(bytes) ? bytes : undefined;
}

function checkCover(tensors: readonly SafeTensor[], dataStart: number, fileSize: number, place: string): void {
  let at = dataStart;
  for (const { name, begin, end } of tensors) {
    const bad = (reason: string): UserError => damaged(place, `tensor ${JSON.stringify(name)}: ${reason}`);
    if (begin < at) throw bad(`shares ${Math.min(at, end) - begin} bytes with the tensor before it`);
    if (begin > at) throw bad(`the ${begin - at} bytes before it belong to no tensor`);
    if (end > fileSize) throw bad(`ends at byte ${end} of a file of ${fileSize}`);
    at = end;
  }
  if (at !== fileSize) throw damaged(place, `${fileSize - at} bytes after the last tensor belong to no tensor`);
}

function readMetadata(metadata: unknown, place: string): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isObject(metadata) || !Object.values(metadata).every((v) => typeof v === 'string'))
    throw damaged(place, '__metadata__ is not an object of strings');
  return metadata as Record<string, string>;
}

export interface SafeLayout {
  /** The file's first bytes: length and JSON, padded so that data starts at a multiple of 8. */
  readonly header: Uint8Array;
  /** In the order in which their bytes follow the header: wide elements first so that each is aligned, then by name. */
  readonly tensors: readonly SafeTensor[];
  readonly fileSize: number;
}

/** Where a writer puts each tensor: a function of the set of tensors alone, not of their order. Names must be distinct. */
export function layout(specs: readonly SafeTensorSpec[], metadata: Readonly<Record<string, string>>): SafeLayout {
  const ordered = [...specs].sort((a, b) => BITS[b.dtype] - BITS[a.dtype] || (a.name < b.name ? -1 : 1));
  let end = 0;
  const placed = ordered.map((spec): SafeTensor => {
    const size = byteSize(spec);
    if (size === undefined || spec.name === '__metadata__')
      throw new Error(`internal: tensor ${spec.name} [${spec.shape.join(',')}] of ${spec.dtype} cannot be stored`);
    return { ...spec, begin: end, end: (end += size) };
  });
  if (new Set(specs.map((s) => s.name)).size < specs.length) throw new Error('internal: two tensors of one name');
  const header = headerBytes(placed, metadata);
  const shift = (t: SafeTensor): SafeTensor => ({ ...t, begin: t.begin + header.length, end: t.end + header.length });
  return { header, tensors: placed.map(shift), fileSize: header.length + end };
}

function headerBytes(tensors: readonly SafeTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const sorted = Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const parts = Object.keys(sorted).length ? [`"__metadata__":${JSON.stringify(sorted)}`] : [];
  for (const { name, dtype, shape, begin, end } of tensors)
    // joined by hand: an object would move a tensor named "0" to the front
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  const padding = new Uint8Array(-json.length & 7).fill(0x20);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length + padding.length), true);
  return concat([length, json, padding]);
}
