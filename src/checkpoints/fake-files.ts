/** Files in memory, with holes as large as one likes: for tests. */
import type { Parts } from './fake-torch.ts';
import type { Files, StoredFile } from './storage.ts';

/** `onRead` hears of every read: how many bytes were asked for. */
export function memoryFile(place: string, { size, parts }: Parts, onRead: (bytes: number) => void = () => {}): StoredFile {
  return {
    place,
    path: undefined,
    size,
    read(into, begin) {
      onRead(into.length);
      const end = begin + into.length;
      if (begin < 0 || end > size) return Promise.reject(new Error(`read of bytes ${begin}..${end} of ${size}`));
      into.fill(0);
      for (const { at, bytes } of parts) {
        const [from, to] = [Math.max(begin, at), Math.min(end, at + bytes.length)];
        if (from < to) into.set(bytes.subarray(from - at, to - at), from - begin);
      }
      return Promise.resolve();
    },
  };
}

/** A folder of such files; texts and plain bytes too. */
export function memoryFiles(
  folder: string,
  contents: Readonly<Record<string, Parts | Uint8Array | string>>,
  onRead?: (bytes: number) => void,
): Files {
  const parts = (content: Parts | Uint8Array | string): Parts => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    return bytes instanceof Uint8Array ? { size: bytes.length, parts: [{ at: 0, bytes }] } : bytes;
  };
  return {
    list: (path) => Promise.resolve(path === folder ? Object.keys(contents) : undefined),
    open(path) {
      const content = path.startsWith(`${folder}/`) ? contents[path.slice(folder.length + 1)] : undefined;
      return Promise.resolve(content === undefined ? undefined : memoryFile(path, parts(content), onRead));
    },
    close: () => Promise.resolve(),
  };
}
