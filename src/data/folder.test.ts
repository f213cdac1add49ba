import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Document, folder } from './index.ts';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'openmoe-folder-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
};
const read = async (): Promise<Document[]> => {
  const documents: Document[] = [];
  for await (const d of (await folder(root)).documents()) documents.push(d);
  return documents;
};

test('a domain is the field, else the folder, else the file name', async () => {
  write('tale.txt', '\uFEFFOnce\n');
  write('web/one/a.jsonl', '{"text":"A"}\n\n{"text":"B","domain":"news"}\r\n{"text":" "}\n');
  write('zipped.jsonl.gz', gzipSync('{"text":"Ж"}'));
  write('ignored.md', 'no');
  expect(await read()).toEqual([
    { domain: 'tale', text: 'Once\n' },
    { domain: 'web', text: 'A' },
    { domain: 'news', text: 'B' },
    { domain: 'zipped', text: 'Ж' },
  ]);
  const { domains } = await folder(root);
  expect(domains.map((d) => d.name)).toEqual(['news', 'tale', 'web', 'zipped']);
  expect(domains[0]!.origin).toBe(join(root, 'web/one/a.jsonl'));
});

test('one file is a source, too; a language is the field, else what the name ends in', async () => {
  write('news.pt-BR.jsonl', '{"text":"A"}\n{"text":"B","lang":"de"}\n');
  const source = await folder(join(root, 'news.pt-BR.jsonl'));
  expect(source.domains.map((d) => d.name)).toEqual(['news.pt-BR']);
  expect(await read()).toEqual([
    { domain: 'news.pt-BR', language: 'pt-BR', text: 'A' },
    { domain: 'news.pt-BR', language: 'de', text: 'B' },
  ]);
});

test('what a name ends in is a language only if there is one of that name', async () => {
  write('notes.md.txt', 'x');
  expect(await read()).toEqual([{ domain: 'notes.md', text: 'x' }]);
});

test('a long text file becomes documents that joined are the file', async () => {
  const book = Array.from({ length: 3000 }, (_, i) => `Sentence ${i}.${i % 7 ? ' ' : '\n\n'}`).join('');
  write('book.txt', book);
  const documents = await read();
  expect(documents.length).toBeGreaterThan(3);
  expect(documents.map((d) => d.text).join('')).toBe(book);
});

describe('is refused with code, place and exit code:', () => {
  const refused = async (code: string, exit: number, message: RegExp): Promise<void> => {
    await expect(folder(root)).rejects.toMatchObject({ code, exit });
    await expect(folder(root)).rejects.toThrow(message);
  };

  test('a folder that is not there', async () => {
    await expect(folder(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'E_DATA_NOT_FOUND', exit: 3 });
  });

  test('a file that is no text file', async () => {
    write('a.pdf', 'x');
    await expect(folder(join(root, 'a.pdf'))).rejects.toMatchObject({ code: 'E_DATA_NOT_FOUND', exit: 3 });
  });

  test('an empty folder', () => refused('E_DATA_EMPTY', 3, /holds no \.txt/));

  test('files without text', async () => {
    write('a.txt', ' \n');
    write('b.jsonl', '{"text":""}\n');
    await refused('E_DATA_EMPTY', 3, /hold no text/);
  });

  test('an unreadable file', async () => {
    symlinkSync(join(root, 'gone'), join(root, 'a.txt'));
    await refused('E_DATA_UNREADABLE', 3, /at .*a\.txt/);
  });

  test.each([
    [Uint8Array.of(0x61, 0xe4, 0x62), 'byte 0x62 at offset 2'],
    [Uint8Array.of(0x61, 0x62, 0xff), 'byte 0xff at offset 2'],
    [Uint8Array.of(0xc0, 0x80), 'byte 0xc0 at offset 0'],
    [Uint8Array.of(0xed, 0xa0, 0x80), 'byte 0xa0 at offset 1'],
    [Uint8Array.of(0x61, 0xf0, 0x9f), 'a character is cut off at offset 3'],
  ])('bytes that are not UTF-8 (%o)', async (bytes, where) => {
    write('a.txt', bytes);
    await refused('E_DATA_UTF8', 4, new RegExp(`${where} · at .*a\\.txt`));
  });

  test.each([
    ['{"text":"x"}\n{"text":', 2],
    ['{"text":"x"}\n\n\n[1]', 4],
    ['{"tekst":"x"}', 1],
    ['{"text":7}', 1],
    ['null', 1],
    ['{"text":"x","domain":3}', 1],
    ['{"text":"x","domain":""}', 1],
  ])('a bad line of JSON (%s)', async (content, line) => {
    write('sub/a.jsonl', content);
    await refused('E_DATA_JSON', 4, new RegExp(`at .*a\\.jsonl:${line} · each line`));
  });

  test('a gzip file that is cut short, or none', async () => {
    const whole = gzipSync('{"text":"many words"}\n');
    for (const bytes of [whole.subarray(0, whole.length - 3), Buffer.from('{"text":"x"}'), Buffer.alloc(0)]) {
      write('a.jsonl.gz', bytes);
      await refused('E_DATA_GZIP', 4, /at .*a\.jsonl\.gz/);
    }
  });
});
