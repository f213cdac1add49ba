/** Parts of files, for executors that cannot map them. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { EXIT, UserError } from '../../base/index.ts';

/** Reads bytes of a file from `begin` on. Throws UserError E_MAP (damaged) when it is too short. */
export function readPart(path: string, begin: number, into: Uint8Array): void {
  const file = openSync(path, 'r');
  try {
    if (fstatSync(file).size < begin + into.length)
      throw new UserError('E_MAP', EXIT.damaged, { message: 'the file is shorter than its header says', place: path });
    for (let at = 0; at < into.length;) at += readSync(file, into, at, into.length - at, begin + at);
  } finally {
    closeSync(file);
  }
}
