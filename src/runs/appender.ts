/** The run's growing files: one JSON object a line, on disk as soon as it is appended, cut back when a run resumes. */
import { readFile } from 'node:fs/promises';
import { concat, jsonLine } from '../base/index.ts';
import { type Disk, explainDisk, type GrowingFile, isMissing, writeAtomic } from './disk.ts';

/** May hold wall-clock values: these files are not part of what a resumed run must repeat byte for byte. */
export interface Appender {
  /** Writes one line; numbers that are not finite become null. Survives a killed process, not a power failure. Throws E_DISK_FULL. */
  append(line: object): void;
  /** Returns when all lines are on the device. */
  flush(): void;
  /** Drops lines of steps above `step` (lines without a step stay), and lines that are torn. */
  truncateAfter(step: number): Promise<void>;
  close(): void;
}

export function openAppender(path: string, disk: Disk): Appender {
  let file: GrowingFile | undefined;
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw explainDisk(error, path);
    }
  };
  const close = (): void => {
    file?.close();
    file = undefined;
  };
  return {
    append: (line) => attempt(() => (file ??= disk.openGrowing(path)).append(new TextEncoder().encode(jsonLine(line)))),
    flush: () => attempt(() => file?.sync()),
    async truncateAfter(step) {
      close();
      await truncateAfter(path, step, disk);
    },
    close,
  };
}

/** Rewrites the file without lines of later steps and without torn ones; nothing happens when there are none. */
export async function truncateAfter(path: string, step: number, disk: Disk): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const kept = concat(linesOf(bytes).filter((line) => stays(line, step)));
  if (kept.length < bytes.length) await writeAtomic(path, kept, disk);
}

/** Each with its line feed; the last may lack it. */
function linesOf(bytes: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const feed = bytes.indexOf(10, at);
    const end = feed < 0 ? bytes.length : feed + 1;
    lines.push(bytes.subarray(at, end));
    at = end;
  }
  return lines;
}

function stays(line: Uint8Array, step: number): boolean {
  if (line.at(-1) !== 10) return false;
  try {
    const value = JSON.parse(new TextDecoder().decode(line)) as { readonly step?: unknown } | null;
    return !(typeof value?.step === 'number' && value.step > step);
  } catch {
    return false;
  }
}
