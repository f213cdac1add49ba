/** manifest.json: the last file of a checkpoint to be written, naming every other with its size and SHA-256. */

export const MANIFEST = 'manifest.json';
const FORMAT = 'openmoe.checkpoint/1';

export interface FileRecord {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

export interface Manifest {
  readonly step: number;
  /** By name, ascending. */
  readonly files: readonly FileRecord[];
}

/** A plain file name: no folder, nothing hidden. */
export const isFileName = (name: string): boolean => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name) && name !== MANIFEST;

const byName = (files: readonly FileRecord[]): readonly FileRecord[] => [...files].sort((a, b) => (a.name < b.name ? -1 : 1));

/** One text for one content: a function of steps, names, sizes and hashes alone. */
export function manifestText({ step, files }: Manifest): string {
  return `{\n  "format": "${FORMAT}",\n  "step": ${step},\n  "files": {\n${byName(files)
    .map(({ name, size, sha256 }) => `    "${name}": { "size": ${size}, "sha256": "${sha256}" }`)
    .join(',\n')}\n  }\n}\n`;
}

/** The manifest in this text, or what is wrong with it. Any changed byte makes it wrong or changes a record, since only `manifestText` is accepted. */
export function parseManifest(text: string, step: number): Manifest | string {
  const manifest = readManifest(text);
  if (typeof manifest === 'string') return manifest;
  if (manifest.step !== step) return `is that of step ${manifest.step}`;
  return manifestText(manifest) === text ? manifest : 'was changed after it was written';
}

function readManifest(text: string): Manifest | string {
  let value: { readonly format?: unknown; readonly step?: unknown; readonly files?: unknown } | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    return 'is not JSON';
  }
  if (value?.format !== FORMAT) return `is not in format ${FORMAT}`;
  if (!Number.isSafeInteger(value.step)) return 'has no step';
  if (typeof value.files !== 'object' || value.files === null) return 'has no files';
  const files = Object.entries(value.files).map(([name, record]) => ({ ...(record as Partial<FileRecord> | null), name }));
  const sound = files.filter(
    (f): f is FileRecord => isFileName(f.name) && Number.isSafeInteger(f.size) && f.size! >= 0 && /^[0-9a-f]{64}$/.test(String(f.sha256)),
  );
  return sound.length === files.length
    ? { step: value.step as number, files: byName(sound) }
    : 'has a record without plain name, size or hash';
}
