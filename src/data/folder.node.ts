/** A user's own text: .txt, .jsonl and .jsonl.gz files, one or a folder of them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { EXIT, UserError } from '../base/index.ts';
import { type Document, pieces, type Source } from './source.ts';
import { jsonLines, utf8 } from './text-files.ts';

const KINDS = /\.(txt|jsonl|jsonl\.gz)$/i;
/** Language, script, region before the ending. */
const LANGUAGE = /\.([a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?)\.(?:txt|jsonl|jsonl\.gz)$/i;
/** A text file is cut at blank lines into documents of about so many UTF-16 units: one book can then be split into sides. */
const DOCUMENT = 8000;

/**
 * Source over a text file, or every one below a folder. The domain of a document is its line's `domain` field, else the first folder below `path`,
 * else the file's name without ending; its language is its line's `lang` field, else what the file's name ends in (`news.de.txt`).
 * All files are read and checked before it returns. Throws UserError, each with file and place:
 * E_DATA_NOT_FOUND, E_DATA_EMPTY, E_DATA_UNREADABLE, E_DATA_UTF8 (with byte offset), E_DATA_JSON (with line), E_DATA_GZIP.
 */
export async function folder(path: string): Promise<Source> {
  const { root, files } = textFiles(path);
  const filesOf = new Map<string, Set<string>>();
  for (const file of files)
    for (const { domain } of documentsOf(root, file)) {
      const holders = filesOf.get(domain) ?? new Set();
      filesOf.set(domain, holders.add(file));
    }
  if (filesOf.size === 0)
    throw fail('E_DATA_EMPTY', { message: 'the files hold no text', place: path, hint: 'a line of a .jsonl file is {"text": "…"}' });
  return {
    name: path,
    domains: [...filesOf]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, holders]) => ({ name, licence: 'not stated', origin: originOf(root, [...holders]) })),
    async *documents() {
      for (const file of files) yield* documentsOf(root, file);
    },
  };
}

const originOf = (path: string, files: readonly string[]): string =>
  files.length <= 3 ? files.map((f) => join(path, f)).join(', ') : `${files.length} files below ${path}`;

function textFiles(path: string): { readonly root: string; readonly files: readonly string[] } {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw fail('E_DATA_NOT_FOUND', { message: 'no such folder', place: path, hint: 'data=starter is the built-in corpus' });
  if (!found.isDirectory()) {
    if (KINDS.test(path)) return { root: dirname(path), files: [basename(path)] };
    throw fail('E_DATA_NOT_FOUND', { message: 'neither a folder nor a .txt, .jsonl or .jsonl.gz file', place: path, hint: 'rename it' });
  }
  const files = reading(path, () => readdirSync(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && KINDS.test(entry.name))
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort();
  if (files.length === 0)
    throw fail('E_DATA_EMPTY', {
      message: 'the folder holds no .txt, .jsonl or .jsonl.gz file',
      place: path,
      hint: 'put text there, or use data=starter',
    });
  return { root: path, files };
}

/** The tag before the ending, if there is a language of that name. */
function languageIn(file: string): string | undefined {
  const tag = LANGUAGE.exec(file)?.[1];
  return tag !== undefined && new Intl.DisplayNames('en', { type: 'language', fallback: 'none' }).of(tag) ? tag : undefined;
}

function* documentsOf(root: string, file: string): Generator<Document> {
  const path = join(root, file);
  const domain = file.includes(sep) ? file.slice(0, file.indexOf(sep)) : basename(file).replace(KINDS, '');
  const language = languageIn(file);
  const bytes = reading(path, () => readFileSync(path));
  const documents = /\.txt$/i.test(file)
    ? pieces(utf8(bytes, path), DOCUMENT)
        .filter((text) => text.trim())
        .map((text) => ({ domain, text }))
    : jsonLines(utf8(/\.gz$/i.test(file) ? unzipped(bytes, path) : bytes, path), path, domain);
  for (const document of documents) yield language === undefined ? document : { language, ...document };
}

function unzipped(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw new UserError('E_DATA_GZIP', EXIT.damaged, {
      message: `not a whole gzip file: ${(error as Error).message}`,
      place: path,
      hint: 'copy or compress it again',
    });
  }
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw fail('E_DATA_UNREADABLE', {
      message: (error as Error).message,
      place: path,
      hint: 'check that it exists and that you may read it',
    });
  }
}

const fail = (code: string, problem: { readonly message: string; readonly place: string; readonly hint: string }): UserError =>
  new UserError(code, EXIT.notFound, problem);
