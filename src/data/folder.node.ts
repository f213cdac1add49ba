/** A folder of a user's own text: .txt, .jsonl and .jsonl.gz files. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { EXIT, UserError } from '../base/index.ts';
import { type Document, pieces, type Source } from './source.ts';
import { badByte } from './utf8.ts';

const KINDS = /\.(txt|jsonl|jsonl\.gz)$/i;
/** A text file is cut at blank lines into documents of about so many UTF-16 units: one book can then be split into sides. */
const DOCUMENT = 8000;

/**
 * Source over every text file below `path`. The domain of a document is its line's `domain` field, else the first folder below `path`,
 * else the file's name without ending. All files are read and checked before it returns. Throws UserError, each with file and place:
 * E_DATA_NOT_FOUND, E_DATA_EMPTY, E_DATA_UNREADABLE, E_DATA_UTF8 (with byte offset), E_DATA_JSON (with line), E_DATA_GZIP.
 */
export async function folder(path: string): Promise<Source> {
  const files = textFiles(path);
  const domains = new Map<string, Set<string>>();
  for (const file of files)
    for (const { domain } of documentsOf(path, file)) domains.has(domain) ? domains.get(domain)!.add(file) : domains.set(domain, new Set([file]));
  if (domains.size === 0) throw fail('E_DATA_EMPTY', EXIT.notFound, { message: 'the files hold no text', place: path, hint: 'a .jsonl line is {"text": "…"}' });
  return {
    name: path,
    domains: [...domains].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, from]) => ({ name, licence: 'as you hold it', origin: originOf(path, [...from]) })),
    async *documents() {
      for (const file of files) yield* documentsOf(path, file);
    },
  };
}

const originOf = (path: string, files: readonly string[]): string =>
  files.length <= 3 ? files.map((f) => join(path, f)).join(', ') : `${files.length} files below ${path}`;

function textFiles(path: string): string[] {
  if (!existsSync(path)) throw fail('E_DATA_NOT_FOUND', EXIT.notFound, { message: 'no such folder', place: path, hint: 'data=starter is the built-in corpus' });
  if (!statSync(path).isDirectory()) throw fail('E_DATA_NOT_FOUND', EXIT.notFound, { message: 'not a folder', place: path, hint: 'put the file into a folder of its own and name that' });
  const files = reading(path, () => readdirSync(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && KINDS.test(entry.name))
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort();
  if (files.length === 0) throw fail('E_DATA_EMPTY', EXIT.notFound, { message: 'the folder holds no .txt, .jsonl or .jsonl.gz file', place: path, hint: 'put text there, or use data=starter' });
  return files;
}

function* documentsOf(root: string, file: string): Generator<Document> {
  const path = join(root, file);
  const domain = file.includes(sep) ? file.slice(0, file.indexOf(sep)) : basename(file).replace(KINDS, '');
  const bytes = reading(path, () => readFileSync(path));
  if (/\.txt$/i.test(file)) yield* pieces(utf8(bytes, path), DOCUMENT).filter((text) => text.trim()).map((text) => ({ domain, text }));
  else yield* lines(utf8(/\.gz$/i.test(file) ? unzipped(bytes, path) : bytes, path), path, domain);
}

function* lines(text: string, path: string, domain: string): Generator<Document> {
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    if (!line.trim()) continue;
    const document = parse(line, `${path}:${number}`);
    if (document.text.trim()) yield { domain: document.domain ?? domain, text: document.text };
  }
}

function parse(line: string, place: string): { readonly text: string; readonly domain?: string } {
  const hint = 'each line is one JSON object: {"text": "…"}, with "domain": "…" if you like';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw fail('E_DATA_JSON', EXIT.damaged, { message: `not JSON: ${(error as Error).message}`, place, hint });
  }
  const { text, domain } = (typeof value === 'object' && value !== null ? value : {}) as { text?: unknown; domain?: unknown };
  if (typeof text !== 'string') throw fail('E_DATA_JSON', EXIT.damaged, { message: 'no "text" that is a string', place, hint });
  if (domain === undefined) return { text };
  if (typeof domain !== 'string' || domain === '') throw fail('E_DATA_JSON', EXIT.damaged, { message: '"domain" is not a name', place, hint });
  return { text, domain };
}

/** Text without its byte-order mark. */
function utf8(bytes: Uint8Array, path: string): string {
  const at = badByte(bytes);
  if (at !== undefined) {
    const byte = bytes[at] === undefined ? 'the end' : `byte 0x${bytes[at].toString(16)}`;
    throw fail('E_DATA_UTF8', EXIT.damaged, { message: `not UTF-8: ${byte} at offset ${at}`, place: path, hint: 'convert it, for instance with `iconv -f latin1 -t utf-8`' });
  }
  return reading(path, () => new TextDecoder().decode(bytes));
}

function unzipped(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw fail('E_DATA_GZIP', EXIT.damaged, { message: `not a whole gzip file: ${(error as Error).message}`, place: path, hint: 'copy or compress it again' });
  }
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw fail('E_DATA_UNREADABLE', EXIT.notFound, { message: (error as Error).message, place: path, hint: 'check that it exists and that you may read it' });
  }
}

const fail = (code: string, exit: number, problem: { message: string; place: string; hint: string }): UserError => new UserError(code, exit, problem);
