/** Conversion: values survive every scheme of names and every type as far as the type allows; OUT is whole or not there. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSafetensorsMetadata } from '@huggingface/hub';
import { describe, expect, test } from 'vitest';
import { f32FromF16, readHeader, roundBf16 } from '../base/index.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { convert } from './convert.ts';
import { diskFiles } from './disk.node.ts';
import { makeFormula } from './formula.ts';
import { type NameScheme, SCHEME_NAMES } from './names.ts';
import { narrow } from './numbers.ts';
import { writeFolder } from './out.node.ts';
import { quantize } from './quantize.ts';
import { type OutType, SHARD_BYTES } from './write-tensors.ts';

const GOLDENS = new URL('../../test/goldens', import.meta.url).pathname;
const MODEL = `${GOLDENS}/torch/model-safetensors`;
const scratch = mkdtempSync(join(tmpdir(), 'openmoe-convert-'));
const silent = { signal: new AbortController().signal, onProgress() {} };

async function written(
  from: string,
  to: string,
  { names, dtype, shardBytes = SHARD_BYTES }: { names: NameScheme; dtype: OutType; shardBytes?: number },
): Promise<string> {
  const files = diskFiles();
  const checkpoint = await openCheckpoint(from, files);
  await writeFolder(to, (out) => convert(checkpoint, files, { names, type: dtype, shardBytes, out, watching: silent }));
  await checkpoint.close();
  return to;
}
async function values(path: string): Promise<Map<string, Float32Array>> {
  const checkpoint: Checkpoint = await openCheckpoint(path, diskFiles());
  const all = await Promise.all(checkpoint.model.list.map(async (p) => [p.path, await checkpoint.read(p.path)] as const));
  await checkpoint.close();
  return new Map(all);
}
const base = await values(MODEL);

test.each(SCHEME_NAMES.flatMap((a) => SCHEME_NAMES.map((b) => [a, b] as const)))(
  'to %s names, then to %s names: the same bits',
  async (a, b) => {
    const first = await written(MODEL, join(scratch, `${a}-${b}-1`), { names: a, dtype: 'f32' });
    const second = await written(first, join(scratch, `${a}-${b}-2`), { names: b, dtype: 'f32' });
    expect(await values(second)).toEqual(base);
  },
);

test.each([
  ['bf16', roundBf16],
  ['f16', (x: number) => f32FromF16(new Uint16Array(narrow(Float32Array.of(x), 'f16', new Uint16Array(1)).bytes.slice().buffer))[0]!],
] as const)('%s holds the nearest numbers', async (dtype, nearest) => {
  const out = await written(MODEL, join(scratch, dtype), { names: 'hf', dtype });
  for (const [path, x] of await values(out)) expect(x).toEqual(base.get(path)!.map(nearest));
});

describe('int8', () => {
  test.each(SCHEME_NAMES)('under %s names is within half a step of each group, and a second conversion reads it', async (names) => {
    const out = await written(MODEL, join(scratch, `int8-${names}`), { names, dtype: 'int8' });
    const read = await values(out);
    const norms = [...base.keys()].filter((path) => path.endsWith('.scale') || path.endsWith('router.weight'));
    for (const path of norms) expect(read.get(path)).toEqual(base.get(path));
    for (const [path, x] of base) {
      const most = x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      const worst = read.get(path)!.reduce((m, v, i) => Math.max(m, Math.abs(v - x[i]!)), 0);
      expect(worst, path).toBeLessThanOrEqual((most / 127) * 1.01 * 0.5 + 1e-9);
    }
    expect(await values(await written(out, join(scratch, `int8-${names}-f32`), { names: 'hf', dtype: 'f32' }))).toEqual(read);
  });
  test('gives every scheme the same numbers: groups are of inputs', async () => {
    const all = await Promise.all(SCHEME_NAMES.map((names) => values(join(scratch, `int8-${names}`))));
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
  });
  test('has a scale for the largest of each 32, rounded up to bf16; a group of zeros has scale 0', () => {
    const x = new Float32Array(70);
    x[3] = -127;
    x[4] = 0.5;
    x[40] = 1;
    const { bytes, scales } = quantize(x, [70], 0)!;
    expect([...scales]).toEqual([0x3f80, 0x3c02, 0]);
    expect([bytes[3], bytes[4], bytes[40]]).toEqual([-127, 0, 126]); // 1 ÷ 127 is no bf16: the next is 0.00793
    expect(quantize(Float32Array.of(1, NaN), [2], 0)).toBeUndefined();
    expect(quantize(Float32Array.of(1, -Infinity), [2], 0)).toBeUndefined();
  });
});

test('f16 of every half is that half, and of numbers between two halves the nearer, ties to even', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((h) => (h & 0x7c00) !== 0x7c00);
  const to = new Uint16Array(halves.length);
  const back = (x: Float32Array): Uint16Array => (narrow(x, 'f16', to), to.slice(0, x.length));
  expect(back(f32FromF16(halves))).toEqual(halves);
  const positive = halves.filter((h) => h < 0x7bff);
  const [low, high] = [f32FromF16(positive), f32FromF16(positive.map((h) => h + 1))];
  const middle = low.map((x, i) => (x + high[i]!) / 2);
  expect(back(middle)).toEqual(positive.map((h) => h + (h & 1)));
  expect(back(middle.map((x) => x * (1 + 2 ** -23)))).toEqual(positive.map((h) => h + 1));
  expect(narrow(Float32Array.of(65519, 65520, -1e9, Infinity, NaN), 'f16', to).overflowed).toBe(2);
  expect([...to.subarray(0, 5)]).toEqual([0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x7e00]);
  expect(narrow(Float32Array.of(3.4e38, 1e38), 'bf16', to).overflowed).toBe(1);
});

describe('a written folder', () => {
  test('has every key of the released config, generation_config, and goes without auto_map under the names of the port', async () => {
    const config = (path: string): Record<string, unknown> =>
      JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;
    const released = config(MODEL);
    const hf = config(await written(MODEL, join(scratch, 'config-hf'), { names: 'hf', dtype: 'bf16' }));
    expect(hf).toMatchObject({ ...released, torch_dtype: 'bfloat16' });
    const port = config(await written(MODEL, join(scratch, 'config-port'), { names: 'native-pt', dtype: 'f32' }));
    expect(port).toMatchObject({ architectures: ['HFOpenMoeForCausalLM'], model_type: 'openmoe' });
    expect(port).not.toHaveProperty('auto_map');
    expect(readdirSync(join(scratch, 'config-hf')).sort()).toEqual(['config.json', 'generation_config.json', 'model.safetensors']);
  });
  test('is not there after an abort or a failure, nor anything beside it', async () => {
    const stop = new AbortController();
    const watching = { signal: stop.signal, onProgress: (done: number) => done > 100_000 && stop.abort() };
    const place = join(scratch, 'aborted');
    const files = diskFiles();
    const checkpoint = await openCheckpoint(MODEL, files);
    await expect(
      writeFolder(place, (out) => convert(checkpoint, files, { names: 'hf', type: 'f32', shardBytes: SHARD_BYTES, out, watching })),
    ).rejects.toThrow('aborted');
    await checkpoint.close();
    expect(existsSync(place)).toBe(false);
    expect(readdirSync(scratch).filter((name) => name.startsWith('.tmp'))).toEqual([]);
  });
  test('takes away what killed processes left beside the same place, and nothing else', async () => {
    const parent = join(scratch, 'killed');
    // No process has a number beyond the largest that Linux gives, 2²².
    const [dead, own, alive] = [4_194_305, process.pid, process.ppid];
    const left = [`.tmp-${dead}-out`, `.tmp-${own}-out`, `.tmp-${alive}-out`, `.tmp-${dead}-other`, '.tmp-x-out', `.tmp-${dead}`];
    left.forEach((name) => mkdirSync(join(parent, name), { recursive: true }));
    writeFileSync(join(parent, left[0]!, 'model.safetensors'), 'half of one');
    await writeFolder(join(parent, 'out'), () => Promise.resolve());
    expect(readdirSync(parent).sort()).toEqual([...left.slice(2), 'out'].sort());
  });
  test('that is there already is left alone', async () => {
    await expect(writeFolder(scratch, () => Promise.resolve())).rejects.toMatchObject({ code: 'E_OUT_EXISTS', exit: 2 });
  });
});

describe('a formula', () => {
  test('makes the weights of the reference', async () => {
    const { seed, scales } = JSON.parse(readFileSync(`${GOLDENS}/torch/forward-tiny1.json`, 'utf8')) as {
      seed: number;
      scales: Record<string, number>;
    };
    const config = JSON.parse(readFileSync(`${MODEL}/config.json`, 'utf8')) as Record<string, unknown>;
    const place = join(scratch, 'formula');
    await writeFolder(place, (out) =>
      makeFormula({ config, seed, scales }, { out, type: 'f32', shardBytes: SHARD_BYTES, place: 'x', watching: silent }),
    );
    const made = await values(place);
    made.set('layers.1.attentionNorm.scale', made.get('layers.0.attentionNorm.scale')!); // one tensor under two names there
    expect(made).toEqual(base);
  });
  test('gives the samples of its README', async () => {
    const config = { ...(JSON.parse(readFileSync(`${MODEL}/config.json`, 'utf8')) as object), num_hidden_layers: 1 };
    const scales = Object.fromEntries(
      ['embed_tokens', 'q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'lm_head'].map((k) => [k, 0.0625]),
    );
    const all = new Map<string, Float32Array>();
    const keep = (name: string, x: Float32Array): void => void (all.has(name) || all.set(name, x.slice(0, 3)));
    const formula = { config, seed: 20_240_129, scales: { ...scales, norm: 0.1 } };
    await writeFolder(join(scratch, 'formula-2'), (out) =>
      makeFormula(formula, { out, type: 'bf16', shardBytes: SHARD_BYTES, place: 'x', watching: { ...silent, onValues: keep } }),
    );
    expect([...all.get('lm_head.weight')!]).toEqual([-0.018132641911506653, -0.031363531947135925, 0.008791826665401459]);
    expect([...all.get('model.norm.weight')!]).toEqual([0.9613320827484131, 1.0035505294799805, 0.9751207232475281]);
  });
});

test('tensors of a shard lie as the format demands', async () => {
  const bytes = new Uint8Array(
    readFileSync(join(await written(MODEL, join(scratch, 'int8-layout'), { names: 'hf', dtype: 'int8' }), 'model.safetensors')),
  );
  const { tensors } = readHeader(bytes, bytes.length, 'x');
  expect(tensors.get('model.layers.1.mlp.experts.wi_gate')).toMatchObject({ dtype: 'I8', shape: [6, 24, 80] });
  expect(tensors.get('model.layers.1.mlp.experts.wi_gate.scales')).toMatchObject({ dtype: 'BF16', shape: [6, 1, 80] });
  expect(tensors.get('lm_head.weight.scales')).toMatchObject({ dtype: 'BF16', shape: [384, 1] });
});

test.each([
  ['one file', SHARD_BYTES, 1],
  ['shards with an index', 50_000, 4],
] as const)("Hugging Face's own reader finds in %s the tensors that were written", async (_, shardBytes, files) => {
  const out = await written(MODEL, join(scratch, `official-${files}`), { names: 'hf', dtype: 'bf16', shardBytes });
  expect(readdirSync(out).filter((name) => name.endsWith('.safetensors'))).toHaveLength(files);
  const found = await parseSafetensorsMetadata({ repo: 'a/b', computeParametersCount: true, fetch: serving(out) });
  const headers = found.sharded ? Object.values(found.headers) : [found.header];
  const shapes = Object.assign({}, ...headers) as Record<string, { dtype: string; shape: number[] }>;
  delete shapes['__metadata__'];
  const checkpoint = await openCheckpoint(MODEL, diskFiles());
  const expected = [...checkpoint.tensors].map(([name, { shape }]) => [name, { dtype: 'BF16', shape }]);
  await checkpoint.close();
  expect(
    Object.entries(shapes)
      .map(([name, { dtype, shape }]) => [name, { dtype, shape }])
      .sort(),
  ).toEqual(expected.sort());
  expect(found.parameterCount).toEqual({ BF16: 89_640 });
  expect(await values(out)).toEqual(new Map([...base].map(([path, x]) => [path, x.map(roundBf16)])));
});

/** Answers requests for files of a model with those of a folder. */
const serving =
  (folder: string): typeof fetch =>
  (input, init) => {
    const path = join(folder, new URL(input instanceof Request ? input.url : input).pathname.split('/').at(-1)!);
    if (!existsSync(path)) return Promise.resolve(new Response(null, { status: 404 }));
    const bytes = readFileSync(path);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '') ?? [];
    const range = from === undefined ? bytes : bytes.subarray(Number(from), Number(to) + 1);
    const headers = {
      'content-length': String(range.length),
      'content-range': `bytes ${from ?? 0}-${to ?? bytes.length - 1}/${bytes.length}`,
      etag: '"x"',
    };
    return Promise.resolve(new Response(init?.method === 'HEAD' ? null : range, { status: from === undefined ? 200 : 206, headers }));
  };
