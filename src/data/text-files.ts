/** Bytes of a user's text file → text and documents, or an error that says where the file is wrong. */
import { EXIT, UserError } from '../base/index.ts';
import type { Document } from './source.ts';
import { badByte } from './utf8.ts';

/** Text without its byte-order mark. Throws UserError E_DATA_UTF8 with the byte's offset, E_DATA_UNREADABLE when it is beyond a string's length. */
export function utf8(bytes: Uint8Array, path: string): string {
  const at = badByte(bytes);
  if (at !== undefined) {
    const byte = at === bytes.length ? 'a character is cut off' : `byte 0x${bytes[at]!.toString(16)}`;
    throw fail('E_DATA_UTF8', {
      message: `not UTF-8: ${byte} at offset ${at}`,
      place: path,
      hint: 'convert it, for instance with `iconv -f latin1 -t utf-8`',
    });
  }
  try {
    return new TextDecoder().decode(bytes);
  } catch (error) {
    throw fail('E_DATA_UNREADABLE', { message: (error as Error).message, place: path, hint: 'split the file into smaller ones' });
  }
}

/** Documents of JSON lines `{"text": …, "domain"?: …, "lang"?: …}`; empty lines and empty texts are passed over. Throws UserError E_DATA_JSON at file:line. */
export function* jsonLines(text: string, path: string, domain: string): Generator<Document> {
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    if (!line.trim()) continue;
    const document = parse(line, `${path}:${number}`);
    if (!document.text.trim()) continue;
    yield { domain: document.domain ?? domain, text: document.text, ...(document.lang !== undefined && { language: document.lang }) };
  }
}

function parse(line: string, place: string): { readonly text: string; readonly domain?: string; readonly lang?: string } {
  const refuse = (message: string): UserError =>
    fail('E_DATA_JSON', { message, place, hint: 'each line is one JSON object: {"text": "…"}, with "domain": "…" if you like' });
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw refuse(`not JSON: ${(error as Error).message}`);
  }
  const { text, domain, lang } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof text !== 'string') throw refuse('no "text" that is a string');
  if (domain !== undefined && (typeof domain !== 'string' || domain === '')) throw refuse('"domain" is not a name');
  return { text, ...(domain !== undefined && { domain }), ...(typeof lang === 'string' && lang !== '' && { lang }) };
}

const fail = (code: string, problem: { readonly message: string; readonly place: string; readonly hint: string }): UserError =>
  new UserError(code, EXIT.damaged, problem);
