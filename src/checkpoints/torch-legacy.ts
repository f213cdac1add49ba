/** PyTorch's checkpoints before the zip format: five pickles (magic, protocol, system, tensors, storage keys), then the storages. */
import { isKind, type Pickled, readPickle, Refusal, type Vocabulary } from './pickle.ts';
import { damaged, readRange, type StoredFile } from './storage.ts';
import { LARGEST_PICKLE, refusing } from './torch-zip.ts';
import { tensorsIn, type TorchStorage, torchVocabulary, viewOf } from './torch-pickle.ts';
import { ELEMENT_BYTES, type View } from './view.ts';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** For pickles of plain values. */
const NOTHING: Vocabulary = {
  global(name) {
    throw new Refusal(`it names ${name.slice(0, 200)}, which no checkpoint needs`);
  },
  persistent() {
    throw new Refusal('a persistent id before the tensors');
  },
  call() {
    throw new Refusal('a call before the tensors');
  },
  build() {
    throw new Refusal('a state before the tensors');
  },
};

/** Views by name. Throws UserError E_PICKLE (damaged). */
export async function readTorchLegacy(file: StoredFile): Promise<Map<string, View>> {
  const bytes = await readRange(file, 0, Math.min(file.size, LARGEST_PICKLE));
  const place = file.place;
  const bad = (message: string) => damaged('E_PICKLE', place, message);
  let at = 0;
  const next = (vocabulary: Vocabulary): Pickled => {
    const { value, end } = readPickle(bytes, at, { vocabulary, place });
    at = end;
    return value;
  };
  if (next(NOTHING) !== MAGIC) throw bad('not a checkpoint: its first pickle is not the magic number');
  if (next(NOTHING) !== PROTOCOL) throw bad(`its protocol is not ${PROTOCOL}`);
  const system = next(NOTHING);
  if (!isKind(system, 'dict') || system.entries.get('little_endian') !== true) throw bad('it was not written by a little-endian machine');
  const storages = new Map<string, TorchStorage>();
  const value = next(torchVocabulary(storages));
  const keys = next(NOTHING);
  const begins = await storageBegins(file, { at, keys, storages });
  return refusing(place, () => new Map([...tensorsIn(value)].map(([name, t]) => [name, viewOf(file, t, begins.get(t.storage.key)!)])));
}

/** Storages follow in the order of `keys`, each after its count of elements. */
async function storageBegins(
  file: StoredFile,
  { at, keys, storages }: { at: number; keys: Pickled; storages: ReadonlyMap<string, TorchStorage> },
): Promise<Map<string, number>> {
  const bad = (message: string) => damaged('E_PICKLE', file.place, message);
  if (!isKind(keys, 'list')) throw bad('it has no list of storages');
  const begins = new Map<string, number>();
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage) throw bad('its list of storages names one that no tensor uses');
    if (begins.has(storage.key)) throw bad(`its list of storages names ${storage.key} twice`);
    if (at + 8 > file.size) throw bad(`storage ${storage.key} is not in the file`);
    const count = new DataView((await readRange(file, at, at + 8)).buffer).getBigUint64(0, true);
    if (count !== BigInt(storage.count)) throw bad(`storage ${storage.key} has ${count} elements, the pickle says ${storage.count}`);
    begins.set(storage.key, at + 8);
    at += 8 + storage.count * ELEMENT_BYTES[storage.dtype];
    if (at > file.size) throw bad(`storage ${storage.key} of ${storage.count} elements reaches beyond the file`);
  }
  const lost = [...storages.keys()].find((key) => !begins.has(key));
  if (lost !== undefined) throw bad(`storage ${lost} is not in the list of storages`);
  if (at !== file.size) throw bad(`${file.size - at} bytes after the last storage belong to none`);
  return begins;
}
