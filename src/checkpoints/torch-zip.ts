/** PyTorch's zip checkpoints: `<root>/data.pkl` describes tensors, `<root>/data/<key>` are their storages. */
import { readPickle, Refusal } from './pickle.ts';
import { damaged, readRange, type StoredFile } from './storage.ts';
import { tensorsIn, type TorchStorage, torchVocabulary, viewOf } from './torch-pickle.ts';
import { ELEMENT_BYTES, type View } from './view.ts';
import { readZip, type ZipEntry } from './zip.ts';

/** A pickle of a million tensors has some 200 MB; the largest known checkpoint 60 kB. */
export const LARGEST_PICKLE = 1 << 25;

/** Views by name. Throws UserErrors E_ZIP, E_PICKLE (damaged). */
export async function readTorchZip(file: StoredFile): Promise<Map<string, View>> {
  const entries = await readZip(file);
  const pickles = [...entries.values()].filter(({ name }) => /(^|\/)data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (!pickle || pickles.length > 1) throw damaged('E_ZIP', file.place, `${pickles.length} entries named data.pkl: a checkpoint has one`);
  if (pickle.size > LARGEST_PICKLE) throw damaged('E_PICKLE', file.place, `its pickle has ${pickle.size} bytes, above ${LARGEST_PICKLE}`);
  const root = pickle.name.slice(0, -'data.pkl'.length);
  await refuseBigEndian(file, entries.get(`${root}byteorder`));
  const place = `${file.place}, ${pickle.name}`;
  const bytes = await readRange(file, pickle.begin, pickle.begin + pickle.size);
  const storages = new Map<string, TorchStorage>();
  const { value, end } = readPickle(bytes, 0, { vocabulary: torchVocabulary(storages), place });
  if (end !== bytes.length) throw damaged('E_PICKLE', place, `${bytes.length - end} bytes follow its end`);
  const begins = new Map([...storages.values()].map((s) => [s.key, storageBegin(s, entries.get(`${root}data/${s.key}`), file)]));
  return refusing(place, () => new Map([...tensorsIn(value)].map(([name, t]) => [name, viewOf(file, t, begins.get(t.storage.key)!)])));
}

function storageBegin({ key, dtype, count }: TorchStorage, entry: ZipEntry | undefined, file: StoredFile): number {
  if (!entry) throw damaged('E_PICKLE', file.place, `storage ${key} has no entry in the archive`);
  const bytes = count * ELEMENT_BYTES[dtype];
  if (entry.size !== bytes) throw damaged('E_PICKLE', file.place, `storage ${key} takes ${bytes} bytes, its entry has ${entry.size}`);
  return entry.begin;
}

async function refuseBigEndian(file: StoredFile, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const text = entry.size <= 16 ? new TextDecoder().decode(await readRange(file, entry.begin, entry.begin + entry.size)) : '?';
  if (text.trim() !== 'little') throw damaged('E_PICKLE', file.place, `its byte order is ${JSON.stringify(text)}, not little`);
}

/** Turns a Refusal into a UserError E_PICKLE (damaged) at `place`. */
export function refusing<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refusal ? damaged('E_PICKLE', place, error.message) : error;
  }
}
