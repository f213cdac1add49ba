/** The directory of a zip archive, as PyTorch writes them: stored entries only, sizes above 4 GiB allowed. */
import { damaged, readRange, type StoredFile } from './storage.ts';

export interface ZipEntry {
  readonly name: string;
  /** First byte of the content. */
  readonly begin: number;
  readonly size: number;
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_SIZE = 22;
const LONGEST_COMMENT = 0xffff;
/** A directory of a hundred thousand tensors. */
const LARGEST_DIRECTORY = 1 << 24;

interface Directory {
  readonly begin: number;
  readonly size: number;
  readonly entries: number;
}

interface Central {
  readonly name: string;
  readonly size: number;
  readonly header: number;
}

/** Entries by name. Throws UserError E_ZIP (damaged) for anything that is not a plain archive of stored entries within the file. */
export async function readZip(file: StoredFile): Promise<Map<string, ZipEntry>> {
  const directory = await findDirectory(file);
  const bytes = await readRange(file, directory.begin, directory.begin + directory.size);
  const central = centralEntries(bytes, directory, file);
  const entries = new Map<string, ZipEntry>();
  let behind = 0; // one past the content before: entries must not share bytes
  for (const entry of central.sort((a, b) => a.header - b.header)) {
    const begin = await contentBegin(file, entry, directory.begin);
    if (entry.header < behind) throw bad(file, `entry ${shown(entry.name)} overlaps the one before it`);
    if (entries.has(entry.name)) throw bad(file, `entry ${shown(entry.name)} comes twice`);
    behind = begin + entry.size;
    if (behind > directory.begin) throw bad(file, `entry ${shown(entry.name)} reaches into the directory`);
    entries.set(entry.name, { name: entry.name, begin, size: entry.size });
  }
  return entries;
}

const bad = (file: StoredFile, message: string) => damaged('E_ZIP', file.place, message);
const shown = (name: string): string => JSON.stringify(name.slice(0, 100));

async function findDirectory(file: StoredFile): Promise<Directory> {
  const from = Math.max(0, file.size - END_SIZE - LONGEST_COMMENT);
  const tail = await readRange(file, from, file.size);
  const v = new DataView(tail.buffer);
  let at = tail.length - END_SIZE;
  while (at >= 0 && !(v.getUint32(at, true) === END && at + END_SIZE + v.getUint16(at + 20, true) === tail.length)) at--;
  if (at < 0) throw bad(file, 'a zip archive without its directory: the file is cut off');
  const end = from + at;
  const [disk, disk2, here, all] = [4, 6, 8, 10].map((o) => v.getUint16(at + o, true));
  if (disk !== 0 || disk2 !== 0 || here !== all) throw bad(file, 'a part of a zip archive of several files');
  const [size, begin] = [12, 16].map((o) => v.getUint32(at + o, true)) as [number, number];
  const wide = all === 0xffff || size === 0xffffffff || begin === 0xffffffff;
  const located = wide || (await hasLocator(file, end)) ? await directory64(file, end) : { begin, size, entries: all!, end };
  if (located.begin + located.size !== located.end) throw bad(file, 'the directory does not end where the archive says');
  if (located.size > LARGEST_DIRECTORY) throw bad(file, `a directory of ${located.size} bytes`);
  if (located.entries * 46 > located.size) throw bad(file, `a directory of ${located.size} bytes for ${located.entries} entries`);
  return located;
}

async function hasLocator(file: StoredFile, end: number): Promise<boolean> {
  if (end < 20) return false;
  return new DataView((await readRange(file, end - 20, end)).buffer).getUint32(0, true) === LOCATOR_64;
}

async function directory64(file: StoredFile, end: number): Promise<Directory & { readonly end: number }> {
  if (end < 20 + 56) throw bad(file, 'no room for the directory that its end names');
  const locator = new DataView((await readRange(file, end - 20, end)).buffer);
  if (locator.getUint32(0, true) !== LOCATOR_64) throw bad(file, 'the place of a large directory is missing');
  const at = wide(locator, 8);
  if (at > end - 20 - 56) throw bad(file, 'the large directory lies beyond the end');
  const v = new DataView((await readRange(file, at, at + 56)).buffer);
  if (v.getUint32(0, true) !== END_64) throw bad(file, 'the end of a large directory is damaged');
  if (wide(v, 24) !== wide(v, 32)) throw bad(file, 'a part of a zip archive of several files');
  return { entries: wide(v, 32), size: wide(v, 40), begin: wide(v, 48), end: at };
}

/** An unsigned 64-bit number; what a double cannot hold is too large for any file all the same. */
const wide = (v: DataView, at: number): number => Number(v.getBigUint64(at, true));

function centralEntries(bytes: Uint8Array, { entries }: Directory, file: StoredFile): Central[] {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Central[] = [];
  let at = 0;
  for (let i = 0; i < entries; i++) {
    if (at + 46 > bytes.length || v.getUint32(at, true) !== CENTRAL) throw bad(file, `entry ${i + 1} of the directory is damaged`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => v.getUint16(at + o, true)) as [number, number, number];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > bytes.length) throw bad(file, `entry ${i + 1} of the directory is cut off`);
    const name = utf8(bytes.subarray(at + 46, at + 46 + nameLength), file);
    const extra = new DataView(bytes.buffer, bytes.byteOffset + at + 46 + nameLength, extraLength);
    found.push(centralEntry(v, at, { name, extra, file }));
    at = next;
  }
  if (at !== bytes.length) throw bad(file, 'the directory is longer than its entries');
  return found;
}

function centralEntry(v: DataView, at: number, { name, extra, file }: { name: string; extra: DataView; file: StoredFile }): Central {
  const [flags, method] = [v.getUint16(at + 8, true), v.getUint16(at + 10, true)];
  const sizes = { packed: v.getUint32(at + 20, true), size: v.getUint32(at + 24, true), header: v.getUint32(at + 42, true) };
  const { packed, size, header } = widened(sizes, extra);
  if (flags & 1) throw bad(file, `entry ${shown(name)} is encrypted`);
  if (method !== 0) throw bad(file, `entry ${shown(name)} is compressed (method ${method}): checkpoints are stored as they are`);
  if (packed !== size) throw bad(file, `entry ${shown(name)} has ${packed} stored bytes for ${size}`);
  return { name, size, header };
}

interface Sizes {
  readonly packed: number;
  readonly size: number;
  readonly header: number;
}

/** Fields of all ones stand in the extra field 1 instead, in this order: size, packed size, header. */
function widened({ packed, size, header }: Sizes, extra: DataView): Sizes {
  let at = 0;
  while (at + 4 <= extra.byteLength && extra.getUint16(at, true) !== 1) at += 4 + extra.getUint16(at + 2, true);
  let next = at + 4;
  const end = at + 4 <= extra.byteLength ? Math.min(extra.byteLength, next + extra.getUint16(at + 2, true)) : next;
  const take = (field: number): number => {
    if (field !== 0xffffffff || next + 8 > end) return field;
    next += 8;
    return wide(extra, next - 8);
  };
  const wideSize = take(size);
  return { size: wideSize, packed: take(packed), header: take(header) };
}

async function contentBegin(file: StoredFile, { name, size, header }: Central, directory: number): Promise<number> {
  if (header + 30 > directory) throw bad(file, `entry ${shown(name)} begins at byte ${header}, outside the archive`);
  const head = await readRange(file, header, Math.min(directory, header + 30 + new TextEncoder().encode(name).length));
  const v = new DataView(head.buffer);
  if (v.getUint32(0, true) !== LOCAL) throw bad(file, `entry ${shown(name)} has no header at byte ${header}`);
  const nameLength = v.getUint16(26, true);
  if (v.getUint16(8, true) !== 0) throw bad(file, `entry ${shown(name)} is compressed by its own header`);
  if (30 + nameLength > head.length || utf8(head.subarray(30, 30 + nameLength), file) !== name)
    throw bad(file, `entry ${shown(name)} has another name in its own header`);
  const begin = header + 30 + nameLength + v.getUint16(28, true);
  if (begin + size > directory) throw bad(file, `entry ${shown(name)} of ${size} bytes reaches beyond the archive`);
  return begin;
}

function utf8(bytes: Uint8Array, file: StoredFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad(file, 'the name of an entry is not UTF-8');
  }
}
