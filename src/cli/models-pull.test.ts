/** openmoe models pull, against a hub on this machine: from nothing to a reference that other verbs take. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { concat } from '../base/index.ts';
import { modelFiles } from '../checkpoints/index.ts';
import { openmoe, OPENMOE_DEFAULTS, sizeOf } from '../models/index.ts';
import { whatAModelNeeds } from './commands/models-pull.ts';
import { call } from './fake-host.ts';

const COMMIT = 'ab'.repeat(20);
const model = openmoe({
  ...OPENMOE_DEFAULTS,
  vocab: 40,
  hidden: 6,
  inner: 5,
  layers: 2,
  heads: 2,
  headSize: 4,
  moeInterval: 2,
  experts: 3,
});
const shapes = new Map(model.list.map((p) => [p.path, p.shape]));
const files = modelFiles(model, (path) => new Float32Array(sizeOf(shapes.get(path)!)).fill(0.5)).map(({ name, chunks }) => ({
  name,
  bytes: Buffer.from(chunks instanceof Uint8Array ? chunks : concat([...chunks].map((c) => c.slice()))),
}));

test('pull, then info and verify by the same name; offline too', async () => {
  const server = createServer((request, response) => {
    const siblings = files.map(({ name, bytes }) => ({
      rfilename: name,
      size: bytes.length,
      blobId: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex'),
    }));
    if (request.url!.startsWith('/api/')) return void response.end(JSON.stringify({ sha: COMMIT, siblings }));
    response.end(files.find(({ name }) => request.url!.endsWith(`/${name}`))!.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cache = mkdtempSync(join(tmpdir(), 'openmoe-pull-'));
  const env = { HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, HF_HUB_CACHE: cache };
  try {
    const missing = await call(['models', 'info', 'hf:org/tiny'], { env });
    expect([missing.exit, missing.err]).toEqual([3, expect.stringContaining('openmoe models pull hf:org/tiny')]);

    const pulled = await call(['models', 'pull', 'hf:org/tiny', '--json'], { env });
    expect(pulled.exit, pulled.err).toBe(0);
    expect(JSON.parse(pulled.out)).toMatchObject({ schema: 'openmoe.models-pull/1', commit: COMMIT, files: { length: files.length } });

    for (const verb of ['info', 'verify']) {
      const seen = await call(['models', verb, 'hf:org/tiny', '--json'], { env: { ...env, HF_HUB_OFFLINE: '1' } });
      expect(seen.exit, seen.err).toBe(0);
    }
    expect((await call(['models', 'list'], { env })).out).toContain('hf:org/tiny');
    expect((await call(['models', 'pull', 'hf:org/tiny'], { env: { ...env, HF_HUB_OFFLINE: '1' } })).exit).toBe(3);
    expect((await call(['models', 'pull', 'org/tiny'], { env })).exit).toBe(2);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(cache, { recursive: true, force: true });
  }
});

test('weights are fetched once, as safetensors where there are such', () => {
  const names = [
    'README.md',
    'config.json',
    'model-00001-of-00002.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'pytorch_model.bin.index.json',
    'spiece.model',
    'flax_model.msgpack',
    'onnx/model.onnx',
  ];
  const small = ['README.md', 'config.json', 'spiece.model'];
  expect(new Set(whatAModelNeeds(names))).toEqual(new Set([...small, 'model-00001-of-00002.safetensors', 'model.safetensors.index.json']));
  expect(new Set(whatAModelNeeds(names.filter((n) => !n.includes('safetensors'))))).toEqual(
    new Set([...small, 'pytorch_model.bin', 'pytorch_model.bin.index.json']),
  );
});
