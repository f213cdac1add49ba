/** Which process is meant by a number: numbers are used again, so each goes with the time at which its process started. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { lives } from '../base/index.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; empty where the system does not tell. */
  readonly start: string;
  readonly host: string;
}

export const thisProcess = (): ProcessIdentity => ({ pid: process.pid, start: startOf(process.pid) ?? '', host: hostname() });

/** `unknown` for a process on another machine, which cannot be asked. */
export function liveness({ pid, start, host }: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  if (host !== hostname()) return 'unknown';
  const now = startOf(pid);
  return now === undefined || (start !== '' && now !== '' && now !== start) ? 'dead' : 'alive';
}

/** When the process started, '' where that is not known; undefined when there is no such process, or only its corpse. */
function startOf(pid: number): string | undefined {
  if (!lives(pid)) return undefined;
  try {
    if (process.platform === 'linux') return linuxStartOf(pid);
    return process.platform === 'win32' ? '' : execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return lives(pid) ? '' : undefined;
  }
}

function linuxStartOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3, proc(5); the name before may hold blanks
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`; // field 22: ticks since boot
}
