/** Pulling from a hub on this machine that drops lines, lies, refuses, redirects and is busy. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { cachedModels, type HubSettings, hubSettings, locate, parseHubReference, pull, type PullOptions } from './index.ts';

const COMMIT = 'c0ffee'.padEnd(40, '0');
const random = (name: string, size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => rng(1).at(name).below(256, i)));
const FILES: Readonly<Record<string, Buffer>> = {
  'config.json': Buffer.from('{"model_type":"openmoe"}\n'),
  'model-00001-of-00002.safetensors': random('a', 300_000),
  'model-00002-of-00002.safetensors': random('b', 200_000),
  'nested/notes.txt': Buffer.from(''),
};
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const gitHash = (bytes: Buffer): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const listed = (name: string, bytes: Buffer) => ({
  rfilename: name,
  size: bytes.length,
  blobId: gitHash(bytes),
  ...(name.endsWith('.safetensors') && { lfs: { size: bytes.length, sha256: sha256(bytes), pointerSize: 130 } }),
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let cache: string;
let settings: HubSettings;
/** `METHOD path range` of each request. */
let asked: string[];
/** What the server does instead of its usual answer, by the end of the path; each is used up by one request. */
let trouble: Map<string, Handler[]>;
const quick: PullOptions = { pause: 0.01, patience: 5 };
const reference = parseHubReference('hf:org/model');

const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const usual: Handler = (request, response) => {
  const path = decodeURIComponent(new URL(request.url!, 'http://hub').pathname);
  if (path === '/api/models/org/model/revision/main')
    return void response.end(JSON.stringify({ sha: COMMIT, siblings: Object.entries(FILES).map(([name, bytes]) => listed(name, bytes)) }));
  const bytes = FILES[path.replace(`/org/model/resolve/${COMMIT}/`, '')];
  if (!bytes) return void response.writeHead(404).end();
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0) response.writeHead(206, { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
  response.end(bytes.subarray(from));
};

beforeEach(async () => {
  asked = [];
  trouble = new Map();
  cache = mkdtempSync(join(tmpdir(), 'openmoe-hub-'));
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? ''}`.trim());
    const key = [...trouble.keys()].find((end) => new URL(request.url!, 'http://hub').pathname.endsWith(end));
    (trouble.get(key ?? '')?.shift() ?? usual)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  settings = { endpoint: origin(), token: undefined, cache, offline: false };
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(cache, { recursive: true, force: true });
});

const FIRST = 'model-00001-of-00002.safetensors';
/** Names of files that are not as they are on the hub. */
const wrong = (folder: string): string[] => Object.keys(FILES).filter((name) => !FILES[name]!.equals(readFileSync(join(folder, name))));
const leftovers = (): string[] => readdirSync(join(cache, 'models--org--model/blobs')).filter((name) => name.includes('.'));
/** Sends so many bytes of the first file, announced as all of it, and hangs up. */
const dropsAfter =
  (bytes: number): Handler =>
  (request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = FILES[FIRST]!.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': rest.length,
      ...(from > 0 && { 'content-range': `bytes ${from}-${FILES[FIRST]!.length - 1}/${FILES[FIRST]!.length}` }),
    });
    response.write(rest.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  };
const answers =
  (status: number, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end();
const always = (handler: Handler): Handler[] => Array.from({ length: 50 }, () => handler);

describe('a pull', () => {
  test('leaves the standard layout, and every file as it is on the hub', async () => {
    const { folder, commit, bytesFetched } = await pull(reference, settings, quick);
    expect(folder).toBe(join(cache, 'models--org--model/snapshots', COMMIT));
    expect(commit).toBe(COMMIT);
    expect(wrong(folder)).toEqual([]);
    expect(readlinkSync(join(folder, FIRST))).toBe(`../../blobs/${sha256(FILES[FIRST]!)}`);
    expect(readlinkSync(join(folder, 'nested/notes.txt'))).toBe(`../../../blobs/${gitHash(FILES['nested/notes.txt']!)}`);
    expect(readFileSync(join(cache, 'models--org--model/refs/main'), 'utf8')).toBe(COMMIT);
    expect(bytesFetched).toBe(Object.values(FILES).reduce((sum, f) => sum + f.length, 0));
    for (const revision of ['main', COMMIT, 'c0ffee0']) expect(await locate({ ...reference, revision }, settings)).toBe(folder);
    expect(await cachedModels(settings)).toEqual([{ repository: 'org/model', commit: COMMIT, folder }]);
    expect(leftovers()).toEqual([]);
  });
  test('of what is there already fetches the listing only', async () => {
    await pull(reference, settings, quick);
    asked = [];
    expect((await pull(reference, settings, quick)).bytesFetched).toBe(0);
    expect(asked).toHaveLength(1);
  });
  test('takes only the files that are wanted', async () => {
    const { files } = await pull(reference, settings, { ...quick, choose: (names) => names.filter((n) => n.endsWith('.json')) });
    expect(files.map((f) => f.name)).toEqual(['config.json']);
  });
  test('goes on at the byte where the line was dropped, as often as it brings something', async () => {
    trouble.set(
      FIRST,
      Array.from({ length: 8 }, () => dropsAfter(20_000)),
    );
    const { folder, bytesFetched } = await pull(reference, settings, quick);
    expect(wrong(folder)).toEqual([]);
    expect(asked.filter((a) => a.includes(FIRST) && a.includes('bytes=')).length).toBe(8);
    expect(bytesFetched).toBe(500_025); // nothing came twice
  });
  test('that was cancelled goes on later where it stopped', async () => {
    const cancel = new AbortController();
    trouble.set(FIRST, [
      (_, response) => {
        response.writeHead(200, { 'content-length': FILES[FIRST]!.length });
        response.write(FILES[FIRST]!.subarray(0, 100_000), () => setTimeout(() => cancel.abort(new Error('stopped')), 50));
      },
    ]);
    await expect(pull(reference, settings, { ...quick, signal: cancel.signal })).rejects.toThrow('stopped');
    await expect(locate(reference, settings)).rejects.toThrow('E_NOT_CACHED');
    asked = [];
    const { folder } = await pull(reference, settings, quick);
    expect(asked).toContain(`/org/model/resolve/${COMMIT}/${FIRST} bytes=100000-`);
    expect(wrong(folder)).toEqual([]);
  });
  test('a server that cannot continue is read from the beginning', async () => {
    trouble.set(FIRST, [dropsAfter(20_000), (_, response) => void response.end(FILES[FIRST])]);
    expect(wrong((await pull(reference, settings, quick)).folder)).toEqual([]);
  });
  test('waits as long as a busy server asks', async () => {
    const waits: number[] = [];
    trouble.set('/revision/main', [answers(429, { 'retry-after': '1' })]);
    trouble.set('config.json', [answers(503)]);
    const began = performance.now();
    await pull(reference, settings, { ...quick, onRetry: (_, seconds) => waits.push(seconds) });
    expect(waits).toEqual([1, 0.01]);
    expect(performance.now() - began).toBeGreaterThan(990);
  });
  test('cuts off a line on which nothing comes', async () => {
    trouble.set('config.json', [() => {}]);
    const whys: string[] = [];
    await pull(reference, settings, { ...quick, patience: 0.2, onRetry: (why) => whys.push(why) });
    expect(whys).toEqual(['nothing came for 0.2 s']);
  });
  test('follows redirects and keeps the token from other servers', async () => {
    const seen: (string | undefined)[] = [];
    const other = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end(FILES[FIRST]);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    trouble.set(FIRST, [
      (request, response) => {
        seen.push(request.headers.authorization);
        response.writeHead(302, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/blob` }).end();
      },
    ]);
    const { folder } = await pull(reference, { ...settings, token: 'secret' }, quick);
    expect(seen).toEqual(['Bearer secret', undefined]);
    expect(wrong(folder)).toEqual([]);
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
  });
  test('two at once share the work and both end whole', async () => {
    const [a, b] = await Promise.all([pull(reference, settings, quick), pull(reference, settings, quick)]);
    expect(a.bytesFetched + b.bytesFetched).toBe(500_025);
    expect(wrong(b.folder)).toEqual([]);
  });
  test('takes over the lock of a process that died', async () => {
    await pull(reference, settings, { ...quick, choose: () => ['config.json'] });
    writeFileSync(join(cache, 'models--org--model/blobs', `${sha256(FILES[FIRST]!)}.lock`), String(process.pid));
    expect(wrong((await pull(reference, settings, quick)).folder)).toEqual([]);
  });
});

describe('a pull is refused, and leaves nothing half-made', () => {
  test('where the content is wrong twice', async () => {
    trouble.set(
      FIRST,
      always((_, response) => void response.end(Buffer.alloc(FILES[FIRST]!.length))),
    );
    await expect(pull(reference, settings, quick)).rejects.toMatchObject({ code: 'E_HUB_HASH', exit: 4 });
    expect(leftovers()).toEqual([]);
    expect(() => readFileSync(join(cache, 'models--org--model/refs/main'))).toThrow('ENOENT');
  });
  test('but one wrong answer is forgiven', async () => {
    trouble.set(FIRST, [(_, response) => void response.end(Buffer.alloc(FILES[FIRST]!.length + 7))]);
    expect(wrong((await pull(reference, settings, quick)).folder)).toEqual([]);
  });
  test('where the line breaks again and again at the same byte', async () => {
    trouble.set(
      FIRST,
      always((_, response) => void response.destroy()),
    );
    await expect(pull(reference, settings, quick)).rejects.toMatchObject({ code: 'E_HUB_UNREACHABLE', exit: 3 });
  });
  test('where a server that cannot continue breaks off again and again', async () => {
    const begins: Handler = (_, response) => {
      response.writeHead(200, { 'content-length': FILES[FIRST]!.length });
      response.write(FILES[FIRST]!.subarray(0, 1000), () => setTimeout(() => response.destroy(), 10));
    };
    trouble.set(FIRST, always(begins));
    await expect(pull(reference, settings, quick)).rejects.toMatchObject({ code: 'E_HUB_UNREACHABLE' });
  });
  test.each([
    [401, 'E_HUB_DENIED', 'HF_TOKEN'],
    [403, 'E_HUB_DENIED', 'HF_TOKEN'],
    [404, 'E_HUB_MISSING', 'check its name'],
    [418, 'E_HUB_REFUSED', '418'],
  ])('where the server answers %d', async (status, code, hint) => {
    trouble.set('/revision/main', [answers(status)]);
    const failure = await pull(reference, settings, quick).catch((e: unknown) => e as Error);
    expect(failure).toMatchObject({ code, exit: 3 });
    expect((failure as Error).message).toContain(hint);
  });
  test('where nobody answers', async () => {
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    await expect(pull(reference, { ...settings, endpoint: `http://127.0.0.1:${port}` }, quick)).rejects.toThrow('ECONNREFUSED');
  });
  test('where redirects never end', async () => {
    trouble.set(
      '/revision/main',
      always((request, response) => void response.writeHead(302, { location: request.url! }).end()),
    );
    await expect(pull(reference, settings, quick)).rejects.toThrow('redirects');
  });
  test.each(['../../etc/passwd', '/etc/passwd', 'a/../../b', 'a\\..\\b', 'C:x', 'a//b', '.'])('where a file is called %s', async (name) => {
    trouble.set('/revision/main', [
      (_, response) => void response.end(JSON.stringify({ sha: COMMIT, siblings: [listed(name, Buffer.from('x'))] })),
    ]);
    await expect(pull(reference, settings, quick)).rejects.toMatchObject({ code: 'E_HUB_LISTING', exit: 4 });
  });
  test.each(['', '[]', '{"sha":"main","siblings":[]}', `{"sha":"${COMMIT}","siblings":[{"rfilename":"a","size":-1}]}`])(
    'where the listing is %j',
    async (text) => {
      trouble.set('/revision/main', [(_, response) => void response.end(text)]);
      await expect(pull(reference, settings, quick)).rejects.toMatchObject({ code: 'E_HUB_LISTING' });
    },
  );
  test('offline', async () => {
    await expect(pull(reference, { ...settings, offline: true }, quick)).rejects.toMatchObject({ code: 'E_HUB_OFFLINE', exit: 3 });
    expect(asked).toEqual([]);
  });
});

describe('references and settings', () => {
  test.each(['hf:model', 'hf:a/b/c', 'hf:a/..', 'hf:../b', 'hf:a/b@', 'hf:a/b@x/../y', 'hf:', 'org/model'])(
    '%s is no reference',
    (text) => {
      expect(() => parseHubReference(text)).toThrow('E_HUB_REFERENCE');
    },
  );
  test('a revision may be a branch, a tag or a commit', () => {
    expect(parseHubReference('hf:OrionZheng/openmoe-base@refs/pr/1')).toEqual({
      repository: 'OrionZheng/openmoe-base',
      revision: 'refs/pr/1',
    });
  });
  test('come from the variables that all tools of the hub read', () => {
    expect(hubSettings({ HF_HOME: '/h', HF_ENDPOINT: 'http://mirror/', HF_TOKEN: 't', HF_HUB_OFFLINE: '1' })).toEqual({
      endpoint: 'http://mirror',
      token: 't',
      cache: '/h/hub',
      offline: true,
    });
    expect(hubSettings({ HF_HUB_CACHE: '/c', XDG_CACHE_HOME: '/x', HF_HUB_OFFLINE: '0' })).toMatchObject({
      cache: '/c',
      offline: false,
      token: undefined,
    });
  });
});
