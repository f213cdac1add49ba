/** Files as torch.save writes them, zip and legacy, of any size: for tests. Storages may be left to be holes. */
import { concat } from '../base/index.ts';
import { ELEMENT_BYTES, type ElementType } from './view.ts';

export interface FakeStorage {
  readonly key: string;
  readonly dtype: ElementType;
  /** Elements. */
  readonly count: number;
  /** Little-endian; undefined: zeros that nobody writes. */
  readonly bytes?: Uint8Array;
}
export interface FakeTensor {
  readonly name: string;
  readonly storage: string;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly parameter?: boolean;
}
export interface FakeFile {
  readonly storages: readonly FakeStorage[];
  readonly tensors: readonly FakeTensor[];
}
/** Bytes of a file at their places; all others are zeros. */
export interface Parts {
  readonly size: number;
  readonly parts: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

export function whole({ size, parts }: Parts): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const { at, bytes: part } of parts) bytes.set(part, at);
  return bytes;
}

const CLASSES: Partial<Record<ElementType, string>> = {
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  F64: 'DoubleStorage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  U8: 'ByteStorage',
};

type Piece = readonly number[] | Uint8Array;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const u32 = (n: number): number[] => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24];
const u64 = (n: number): number[] => [...u32(n % 2 ** 32), ...u32(Math.floor(n / 2 ** 32))];
const join = (pieces: readonly Piece[]): Uint8Array => concat(pieces.map((p) => Uint8Array.from(p)));

const text = (s: string): Piece[] => [[0x58, ...u32(utf8(s).length)], utf8(s)];
const int = (n: number): Piece[] => (n < 2 ** 31 ? [[0x4a, ...u32(n)]] : [[0x8a, 8, ...u64(n)]]);
const tuple = (items: readonly Piece[][]): Piece[] => [[0x28], ...items.flat(), [0x74]];
const global = (module: string, name: string): Piece[] => [utf8(`c${module}\n${name}\n`)];
const ordered: Piece[] = [...global('collections', 'OrderedDict'), [0x29, 0x52]];

/** The pickle of a dict of tensors; legacy ones name the view of a storage too, an OrderedDict has `_metadata`. */
export function tensorPickle({ storages, tensors }: FakeFile, legacy: boolean): Uint8Array {
  const byKey = new Map(storages.map((s) => [s.key, s]));
  const items = tensors.flatMap((t) => {
    const { key, dtype, count } = byKey.get(t.storage)!;
    const id = tuple([
      text('storage'),
      global('torch', CLASSES[dtype]!),
      text(key),
      text('cpu'),
      int(count),
      ...(legacy ? [[[0x4e]]] : []),
    ]);
    const args = tuple([[...id, [0x51]], int(t.offset ?? 0), tuple(t.shape.map(int)), tuple(t.strides.map(int)), [[0x89]], ordered]);
    const tensor = [...global('torch._utils', '_rebuild_tensor_v2'), ...args, [0x52]];
    const parameter = [...global('torch._utils', '_rebuild_parameter'), ...tuple([tensor, [[0x88]], ordered]), [0x52]];
    return [...text(t.name), ...(t.parameter ? parameter : tensor)];
  });
  const dict: Piece[] = legacy ? ordered : [[0x7d]];
  const metadata: Piece[] = legacy ? [[0x7d], ...text('_metadata'), ...ordered, [0x73, 0x62]] : [];
  return join([[0x80, 2], ...dict, [0x71, 0], [0x28], ...items, [0x75], ...metadata, [0x2e]]);
}

/** As torch.save since 1.6; `root` is the folder inside the archive. Entries above 4 GiB are written as zip64 has them. */
export function torchZip(file: FakeFile, root = 'archive'): Parts {
  const entries = [
    { name: 'data.pkl', size: 0, bytes: tensorPickle(file, false) },
    { name: 'byteorder', size: 6, bytes: utf8('little') },
    ...file.storages.map(({ key, dtype, count, bytes }) => ({ name: `data/${key}`, size: count * ELEMENT_BYTES[dtype], bytes })),
    { name: 'version', size: 2, bytes: utf8('3\n') },
  ].map((e) => ({ ...e, name: utf8(`${root}/${e.name}`), size: e.bytes?.length ?? e.size }));
  const parts: { at: number; bytes: Uint8Array }[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const { name, size, bytes } of entries) {
    const padding = 64 - ((at + 30 + name.length + 4) % 64); // storages begin at multiples of 64
    const extra = [0x46, 0x42, padding & 255, padding >>> 8, ...new Uint8Array(padding)];
    const local = join([
      u32(0x04034b50),
      [0, 0, 8, 8, 0, 0, 0, 0, 0, 0],
      u32(0),
      u32(0),
      u32(0),
      [name.length, 0, extra.length, 0],
      name,
      extra,
    ]);
    parts.push({ at, bytes: local });
    if (bytes) parts.push({ at: at + local.length, bytes });
    central.push(centralEntry(name, size, at));
    at += local.length + size;
  }
  const directory = concat(central);
  parts.push({ at, bytes: join([directory, ending(entries.length, directory.length, at)]) });
  return { size: at + parts.at(-1)!.bytes.length, parts };
}

const WIDE = 0xffffffff;
function centralEntry(name: Uint8Array, size: number, header: number): Uint8Array {
  const wide = [...(size >= WIDE ? [...u64(size), ...u64(size)] : []), ...(header >= WIDE ? u64(header) : [])];
  const extra = wide.length > 0 ? [1, 0, wide.length, 0, ...wide] : [];
  const small = Math.min(size, WIDE);
  const fixed = [
    0,
    0,
    0,
    0,
    8,
    8,
    0,
    0,
    0,
    0,
    0,
    0,
    ...u32(0),
    ...u32(small),
    ...u32(small),
    name.length,
    0,
    extra.length,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    ...u32(0),
  ];
  return join([u32(0x02014b50), fixed, u32(Math.min(header, WIDE)), name, extra]);
}

function ending(entries: number, size: number, begin: number): Uint8Array {
  const wide = begin >= WIDE;
  const large = [
    ...u32(0x06064b50),
    ...u64(44),
    45,
    0,
    45,
    0,
    ...u32(0),
    ...u32(0),
    ...u64(entries),
    ...u64(entries),
    ...u64(size),
    ...u64(begin),
  ];
  const locator = [...u32(0x07064b50), ...u32(0), ...u64(begin + size), ...u32(1)];
  const count = [entries & 255, entries >>> 8];
  return join([
    wide ? large : [],
    wide ? locator : [],
    [...u32(0x06054b50), 0, 0, 0, 0, ...count, ...count, ...u32(size), ...u32(Math.min(begin, WIDE)), 0, 0],
  ]);
}

/** As torch.save before 1.6. */
export function torchLegacy(file: FakeFile): Parts {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  const system = [[0x80, 2, 0x7d, 0x28], ...text('protocol_version'), ...int(1001), ...text('little_endian'), [0x88], [0x75, 0x2e]];
  const keys = [[0x80, 2, 0x5d, 0x28], ...file.storages.flatMap((s) => text(s.key)), [0x65, 0x2e]];
  const head = join([magic, [0x80, 2, 0x4d, 0xe9, 0x03, 0x2e], ...system, tensorPickle(file, true), ...keys]);
  const parts = [{ at: 0, bytes: head }];
  let at = head.length;
  for (const { count, dtype, bytes } of file.storages) {
    parts.push({ at, bytes: Uint8Array.from(u64(count)) });
    if (bytes) parts.push({ at: at + 8, bytes });
    at += 8 + count * ELEMENT_BYTES[dtype];
  }
  return { size: at, parts };
}
