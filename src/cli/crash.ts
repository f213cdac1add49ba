/** Crash files: what we need to find a bug of ours, without what is the user's. */
import { writeFileSync } from 'node:fs';
import { homedir, hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageVersion } from './version.ts';

/** Writes the crash file and returns its path; undefined where none can be written. */
export function writeCrash(error: unknown, argv: readonly string[]): string | undefined {
  const path = join(tmpdir(), `openmoe-crash-${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${process.pid}.txt`);
  try {
    writeFileSync(path, redact(crashText(error, argv)), { mode: 0o600, flag: 'wx' });
    return path;
  } catch {
    return undefined;
  }
}

function crashText(error: unknown, argv: readonly string[]): string {
  return [
    `openmoe ${packageVersion()}, node ${process.versions.node}, ${process.platform} ${process.arch}`,
    `command: openmoe ${argv.map(withoutText).join(' ')}`,
    '',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    ...(error instanceof Error && error.cause !== undefined
      ? [`cause: ${error.cause instanceof Error ? error.cause.message : JSON.stringify(error.cause)}`]
      : []),
    '',
  ].join('\n');
}

/** Verbs, flags and names of settings stay; texts and values go: they may be prompts, paths or keys. */
export function withoutText(word: string, index: number): string {
  if (/^--?[a-z-]+$/.test(word) || (index === 0 && /^[a-z]+$/.test(word))) return word;
  const [, name] = /^(--[a-z-]+|~?[a-zA-Z]+(?:\.[a-zA-Z]+)*)=/s.exec(word) ?? [];
  return name === undefined ? '…' : `${name}=…`;
}

const SECRETS = /\b(hf_|sk-|ghp_|github_pat_|glpat-|AKIA)[\w-]{8,}/g;

/** Takes out the names of the user and the machine, paths above the package, and what looks like a key. */
export function redact(text: string): string {
  const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
  const names = [
    [root, '<openmoe>'],
    [process.cwd(), '<folder>'],
    [homedir(), '~'],
    [hostname(), '<machine>'],
    [userName(), '<user>'],
  ] as const;
  const clean = names.reduce((t, [name, shown]) => (name.length > 2 && name !== 'root' ? t.replaceAll(name, shown) : t), text);
  return clean.replaceAll(SECRETS, '$1…');
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ''; // a process may run as a user who has no entry
  }
}
