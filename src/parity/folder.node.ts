/** A folder of fixtures on this machine's disk. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { EXIT, UserError } from '../base/index.ts';
import { diskFiles, openCheckpoint, openTensors } from '../checkpoints/index.ts';
import type { FixtureFolder } from './reading.ts';

/** Throws UserError E_FIXTURES (exit 3) when there is no such folder. */
export async function openFixtures(dir: string): Promise<FixtureFolder> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (!entries) throw new UserError('E_FIXTURES', EXIT.notFound, { message: 'there is no such folder', place: dir });
  const files = entries.filter((e) => e.isFile()).map((e) => relative(dir, join(e.parentPath, e.name)).split(sep).join('/'));
  return {
    place: dir,
    files: files.sort(),
    read: async (path) => new Uint8Array(await readFile(join(dir, path))),
    open: (path) => openCheckpoint(join(dir, path), diskFiles()),
    async withTensors(path, use) {
      const disk = diskFiles();
      try {
        return await use(await openTensors(join(dir, path), disk));
      } finally {
        await disk.close();
      }
    },
  };
}
