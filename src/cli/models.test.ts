/** openmoe models: checkpoints looked at, checked, compared, converted and made from the command line. */
import { EventEmitter } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { call, type Called, type FakeOptions } from './fake-host.ts';

const GOLDENS = new URL('../../test/goldens/torch', import.meta.url).pathname;
const MODEL = `${GOLDENS}/model-safetensors`;
const folder = mkdtempSync(join(tmpdir(), 'openmoe-models-'));
const env = { OPENMOE_RUNS: join(folder, 'runs'), HF_HOME: join(folder, 'hf'), OPENMOE_WITNESS: join(folder, 'witness') };
const models = (argv: readonly string[], options: FakeOptions = {}): Promise<Called> => call(['models', ...argv], { env, ...options });
const document = async (...argv: string[]): Promise<Record<string, unknown>> => {
  const { exit, out, err } = await models([...argv, '--json']);
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  return JSON.parse(out) as Record<string, unknown>;
};
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A model in the cache as Hugging Face's tools leave it: links to blobs named by their hashes. */
function cached(id: string, revision: string): string {
  const home = join(env.HF_HOME, 'hub', `models--${id.replace('/', '--')}`);
  const snapshot = join(home, 'snapshots', revision);
  for (const dir of [snapshot, join(home, 'blobs'), join(home, 'refs')]) mkdirSync(dir, { recursive: true });
  for (const name of readdirSync(MODEL)) {
    const bytes = readFileSync(join(MODEL, name));
    const hash = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(home, 'blobs', hash), bytes);
    symlinkSync(join('..', '..', 'blobs', hash), join(snapshot, name));
  }
  writeFileSync(join(home, 'refs', 'main'), revision);
  return snapshot;
}

test('info says parameters, types, shards, layers, experts and memory', async () => {
  expect(await document('info', MODEL)).toMatchObject({
    schema: 'openmoe.models-info/1',
    format: 'safetensors',
    names: 'hf',
    tensors: 49,
    dtypes: { F32: 89_640 },
    model: { parameters: 89_640, active_in_blocks: 39_936, layers: 4, experts: 6, moe_layers: [1, 3] },
    memory: { weights: { f32: 358_560 } },
  });
  expect((await models(['info', MODEL])).out).toMatch(/6 in layers 1, 3/);
  expect(await document('info', `${GOLDENS}/hostile/ok-other-root.bin`)).toMatchObject({ tensors: 3, model: null });
});

test('a PyTorch file converts to each scheme and back: diff says equal; verify says sound', async () => {
  const source = join(folder, 'source');
  mkdirSync(source);
  copyFileSync(join(MODEL, 'config.json'), join(source, 'config.json'));
  copyFileSync(`${GOLDENS}/model-views/pytorch_model.bin`, join(source, 'pytorch_model.bin'));
  writeFileSync(join(source, 'special_tokens_map.json'), '{}');
  for (const names of ['hf', 't5x', 'native-pt']) {
    const out = join(folder, `out-${names}`);
    expect(await document('convert', source, out, '--names', names)).toMatchObject({
      schema: 'openmoe.models-convert/1',
      names,
      bytes: 358_560,
    });
    expect(await document('diff', MODEL, out)).toMatchObject({ schema: 'openmoe.models-diff/1', equal: true, max_abs: 0 });
    expect(await document('verify', out)).toMatchObject({ schema: 'openmoe.models-verify/1', ok: true, names, elements: 89_640 });
    expect(readdirSync(out)).toContain('special_tokens_map.json');
  }
  const lossy = await document('convert', join(source, 'pytorch_model.bin'), join(folder, 'int8'), '--dtype', 'int8');
  expect(lossy['bytes']).toBeLessThan(358_560 / 3);
  expect(await document('diff', MODEL, join(folder, 'int8'))).toMatchObject({ equal: false });
});

test('what is not there is said to be not there', async () => {
  for (const ref of ['no/such/folder', 'none.bin', join(folder, 'none')])
    expect(await models(['info', ref])).toMatchObject({ exit: 3, err: expect.stringContaining('E_CHECKPOINT_UNKNOWN') as string });
  expect(await models(['info', 'otter'])).toMatchObject({ exit: 3, err: expect.stringContaining('E_RUN_UNKNOWN') as string });
});

test('diff of different models names what is not in the other', async () => {
  const { exit, err } = await models(['diff', MODEL, `${GOLDENS}/hostile/ok-padded.safetensors`]);
  expect({ exit, err }).toMatchObject({ exit: 2, err: expect.stringMatching(/E_MODELS_DIFFER.* is not in the other/) as string });
});

describe('verify', () => {
  test.each(['popen.bin', 'os-system.bin', 'legacy-os-system.bin', 'overlap.safetensors', 'index-path-escape'])(
    'refuses %s, and nothing of it runs',
    async (name) => {
      const { exit, out } = await models(['verify', `${GOLDENS}/hostile/${name}`, '--json']);
      expect(exit).toBe(4);
      expect(JSON.parse(out)).toMatchObject({ schema: 'openmoe.error/1' });
      expect(existsSync(env.OPENMOE_WITNESS)).toBe(false);
    },
  );
  test('finds a tokenizer that has ids beyond the embedding', async () => {
    const large = join(folder, 'large');
    mkdirSync(large);
    for (const name of ['config.json', 'model.safetensors']) copyFileSync(join(MODEL, name), join(large, name));
    // 1,000 pieces or so for 384 rows.
    const model = gunzipSync(readFileSync(new URL('../../test/goldens/tokenizers/unigram-identity.model.gz', import.meta.url)));
    expect(await models(['verify', large])).toMatchObject({ exit: 0 });
    writeFileSync(join(large, 'spiece.model'), model);
    expect(await models(['verify', large])).toMatchObject({
      exit: 4,
      err: expect.stringMatching(/tokenizer has \d+ pieces, the embedding 384 rows/) as string,
    });
  });
  test('finds weights that are no numbers', async () => {
    const broken = join(folder, 'nan');
    mkdirSync(broken);
    copyFileSync(join(MODEL, 'config.json'), join(broken, 'config.json'));
    const bytes = readFileSync(join(MODEL, 'model.safetensors'));
    const first = 8 + Number(bytes.readBigUInt64LE()); // of lm_head.weight
    bytes.writeFloatLE(NaN, first);
    bytes.writeFloatLE(Infinity, first + 4);
    writeFileSync(join(broken, 'model.safetensors'), bytes);
    expect(await models(['verify', broken])).toMatchObject({
      exit: 4,
      err: expect.stringContaining('1 weights are not a number, 1 are infinite') as string,
    });
    const failed = await models(['convert', broken, join(folder, 'nan-int8'), '--dtype', 'int8']);
    expect(failed).toMatchObject({ exit: 4, err: expect.stringContaining('E_NOT_FINITE') as string });
    expect(readdirSync(folder).filter((name) => name.includes('nan-int8'))).toEqual([]);
  });
});

test('downloaded models are listed, found by name and checked by their hashes', async () => {
  const commit = 'a1b2c3d4'.repeat(5);
  const snapshot = cached('org/tiny', commit);
  expect(await document('list')).toMatchObject({ models: [{ ref: 'hf:org/tiny', kind: 'hub', revision: commit, folder: snapshot }] });
  expect(await document('verify', 'hf:org/tiny')).toMatchObject({ hashed: ['model.safetensors'] });
  expect(await document('info', `hf:org/tiny@${commit}`)).toMatchObject({ kind: 'hub' });
  expect(await models(['info', 'hf:org/other'])).toMatchObject({
    exit: 3,
    err: expect.stringContaining('models pull hf:org/other') as string,
  });
  expect(await models(['info', 'hf:../x'])).toMatchObject({ exit: 2 });
  const blob = join(
    env.HF_HOME,
    'hub',
    'models--org--tiny',
    'blobs',
    createHash('sha256')
      .update(readFileSync(join(MODEL, 'model.safetensors')))
      .digest('hex'),
  );
  const bytes = readFileSync(blob);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(blob, bytes);
  expect(await models(['verify', 'hf:org/tiny'])).toMatchObject({
    exit: 4,
    err: expect.stringContaining('has other content than its hash says') as string,
  });
});

test('Ctrl-C ends a conversion and leaves nothing', async () => {
  const signals = new EventEmitter();
  const out = join(folder, 'stopped');
  const running = models(['convert', MODEL, out], { signals });
  const asked = setInterval(() => {
    if (signals.listenerCount('SIGINT') === 0) return;
    clearInterval(asked); // a second one would quit at once
    signals.emit('SIGINT', 'SIGINT');
  }, 0);
  const { exit } = await running;
  expect(exit).toBe(130);
  expect(readdirSync(folder).filter((name) => name.includes('stopped'))).toEqual([]);
});

describe('make formula', () => {
  test('writes what a file describes, and compares it with the checksums there', async () => {
    const config = JSON.parse(readFileSync(join(MODEL, 'config.json'), 'utf8')) as object;
    const { seed, scales } = JSON.parse(readFileSync(`${GOLDENS}/forward-tiny1.json`, 'utf8')) as { seed: number; scales: object };
    const spec = join(folder, 'spec.json');
    writeFileSync(spec, JSON.stringify({ config, seed, scales, weights: { 'model.norm.weight': { crc32: '00000000' } } }));
    const wrong = await models(['make', 'formula', join(folder, 'made'), '--spec', spec]);
    expect(wrong).toMatchObject({ exit: 6, err: expect.stringContaining('E_CHECKSUM') as string });
    expect(existsSync(join(folder, 'made'))).toBe(false);
    const [, sum] = /has CRC-32 ([0-9a-f]{8}), not/.exec(wrong.err)!;
    writeFileSync(spec, JSON.stringify({ config, seed, scales, weights: { 'model.norm.weight': { crc32: sum } } }));
    expect(await document('make', 'formula', join(folder, 'made'), '--spec', spec)).toMatchObject({ checked: 1, tensors: 49 });
    const { tensors } = (await document('diff', MODEL, join(folder, 'made'))) as { tensors: { name: string; differ: number }[] };
    expect(tensors.filter((t) => t.differ > 0).map((t) => t.name)).toEqual(['model.layers.1.input_layernorm.weight']); // shares its neighbour's there
  });
  test.each([
    ['{}', 'config is not an object'],
    ['nonsense', 'cannot be read'],
    ['{"config":{},"seed":1,"scales":{}}', 'E_MODEL_CONFIG'],
  ])('%s is refused', async (text, message) => {
    const spec = join(folder, 'bad.json');
    writeFileSync(spec, text);
    const { exit, err } = await models(['make', 'formula', join(folder, 'never'), '--spec', spec]);
    expect([2, 4]).toContain(exit);
    expect(err).toContain(message);
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });
});
