/** Where checkpoints lie: the few things that reading them asks of a file system. */
import { EXIT, UserError } from '../base/index.ts';

/** An open file. */
export interface StoredFile {
  /** As messages name it. */
  readonly place: string;
  /** Bytes. */
  readonly size: number;
  /** Fills `into` with the bytes from `begin` on; all of them must lie in the file. Throws UserError E_CHECKPOINT_READ (damaged). */
  read(into: Uint8Array, begin: number): Promise<void>;
  /** Where the operating system has it, for those who map it. */
  readonly path: string | undefined;
}

export interface Files {
  /** Names in a folder; undefined where there is no folder. */
  list(folder: string): Promise<readonly string[] | undefined>;
  /** Undefined where there is no such file. Opened files stay open until `close`. */
  open(path: string): Promise<StoredFile | undefined>;
  close(): Promise<void>;
}

/** Bytes [begin, end) of a file. */
export async function readRange(file: StoredFile, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  await file.read(bytes, begin);
  return bytes;
}

/** What may be allocated for the sake of a file of this size before its content is known to be sound. */
export const allowance = (fileSize: number): number => fileSize + 64 * 2 ** 20;

/** A file that is not what it should be. Each format has its code. */
export const damaged = (code: string, place: string, message: string, hint?: string): UserError =>
  new UserError(code, EXIT.damaged, { message, place, ...(hint !== undefined && { hint }) });
