/** Checkpoints opened as models: every format gives the same weights; what does not fit together is told all at once. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { UserError } from '../base/index.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { diskFiles } from './disk.node.ts';
import { memoryFiles } from './fake-files.ts';
import { openTensors } from './tensor-files.ts';
import { readView } from './index.ts';

const GOLDENS = new URL('../../test/goldens', import.meta.url).pathname;
const golden = (path: string): Uint8Array => new Uint8Array(readFileSync(`${GOLDENS}/${path}`));
const config = golden('torch/model-safetensors/config.json');
const safetensors = golden('torch/model-safetensors/model.safetensors');

async function weightsOf(checkpoint: Checkpoint): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { path } of checkpoint.model.list) values.set(path, await checkpoint.read(path));
  await checkpoint.close();
  return values;
}
const base = await weightsOf(await openCheckpoint(`${GOLDENS}/torch/model-safetensors`, diskFiles()));
const folder = (files: Record<string, Uint8Array | string>) => openCheckpoint('x', memoryFiles('x', { 'config.json': config, ...files }));

describe('the same weights', () => {
  test.each([
    ['in a zip with views, strides and a Parameter', 'views', 'pickle'],
    ['in the format before zip, an OrderedDict', 'legacy', 'legacy'],
  ])('%s', async (_, name, format) => {
    const checkpoint = await folder({ 'pytorch_model.bin': golden(`torch/model-${name}/pytorch_model.bin`) });
    expect(checkpoint).toMatchObject({ format, names: 'hf' });
    expect(await weightsOf(checkpoint)).toEqual(base);
  });
  test('rounded to f16, under a folder of another name inside the zip', async () => {
    const values = await weightsOf(await folder({ 'pytorch_model.bin': golden('torch/model-fp16/pytorch_model.bin') }));
    for (const [path, x] of values)
      x.forEach((v, i) => expect(Math.abs(v - base.get(path)![i]!)).toBeLessThanOrEqual(Math.abs(v) * 2 ** -11 + 2 ** -25));
  });
  test('under T5X paths', async () => {
    const released = await weightsOf(await openCheckpoint(`${GOLDENS}/jax/m1/weights_hf.safetensors`, diskFiles()));
    const t5x = await openCheckpoint(`${GOLDENS}/jax/m1/weights_t5x.safetensors`, diskFiles());
    expect(t5x.names).toBe('t5x');
    expect(await weightsOf(t5x)).toEqual(released);
  });
});

describe('what does not fit is refused', () => {
  const changed = (change: object): string => JSON.stringify({ ...(JSON.parse(new TextDecoder().decode(config)) as object), ...change });
  test.each([
    ['hidden size', { hidden_size: 32 }, 'hidden_size is 32, the weights have 24'],
    ['vocabulary', { vocab_size: 385 }, 'vocab_size is 385, the weights have 384'],
    ['experts', { num_experts: 1000 }, 'num_experts is 1000, the weights have 6'],
    ['head size', { head_dim: 16 }, 'num_attention_heads × head_dim is 48, the weights have 24'],
    ['layers', { num_hidden_layers: 10_000 }, 'num_hidden_layers is 10000, the weights have 4'],
    ['places of MoE layers', { moe_layer_interval: 4 }, 'layers 1 of the weights have routers'],
  ])('a config with other %s, before a model is made', async (_, change, message) => {
    const failure = folder({ 'config.json': changed(change), 'model.safetensors': safetensors });
    await expect(failure).rejects.toMatchObject({ code: 'E_MODEL_CONFIG', exit: 4, message: expect.stringContaining(message) as string });
  });
  test('two contradictions at once', async () => {
    const failure = await folder({ 'config.json': changed({ hidden_size: 32, vocab_size: 3 }), 'model.safetensors': safetensors }).catch(
      (e: unknown) => e,
    );
    expect((failure as UserError).problems.length).toBe(2);
  });
  test.each([
    ['another architecture', { architectures: ['LlamaForCausalLM'] }],
    ['another activation', { hidden_act: 'silu' }],
    ['grouped queries', { num_key_value_heads: 1 }],
    ['tied embeddings', { tie_word_embeddings: true }],
  ])('%s', async (_, change) => {
    await expect(folder({ 'config.json': changed(change), 'model.safetensors': safetensors })).rejects.toMatchObject({
      code: 'E_ARCHITECTURE',
      exit: 4,
    });
  });
  test.each([
    ['num_experts', 1e9],
    ['num_hidden_layers', 1e12],
    ['vocab_size', 2.5],
    ['hidden_size', -1],
    ['head_dim', '8'],
  ])('%s: %s', async (key, value) => {
    await expect(folder({ 'config.json': changed({ [key]: value }), 'model.safetensors': safetensors })).rejects.toMatchObject({
      code: 'E_MODEL_CONFIG',
    });
  });
  test('tensors that are missing, unexpected or of another type, all at once with the nearest names', async () => {
    const text = new TextDecoder('latin1').decode(safetensors.subarray(0, 8192));
    const name = 'model.layers.2.self_attn.q_proj.weight';
    const bytes = safetensors.slice();
    bytes.set(new TextEncoder().encode('k_proj'.replace('k', 'x')), text.indexOf(`"${name}"`) + 1 + name.indexOf('q_proj'));
    const failure = await folder({ 'model.safetensors': bytes }).catch((e: unknown) => e as UserError);
    expect(failure).toMatchObject({ code: 'E_WEIGHTS', exit: 4 });
    expect((failure as UserError).problems.map((p) => p.message)).toEqual([
      `${name} is missing`,
      'model.layers.2.self_attn.x_proj.weight does not belong to this model',
    ]);
    expect((failure as UserError).problems[0]!.hint).toContain('x_proj');
  });
  test('weights without a config, and a folder without weights', async () => {
    await expect(openCheckpoint('x', memoryFiles('x', { 'model.safetensors': safetensors }))).rejects.toThrow(
      /E_MODEL_CONFIG.*no config.json/,
    );
    await expect(openCheckpoint('x', memoryFiles('x', { 'config.json': config }))).rejects.toMatchObject({
      code: 'E_CHECKPOINT_UNKNOWN',
      exit: 3,
    });
  });
});

test('a parameter that lies in one aligned piece can be mapped; one in many pieces cannot', async () => {
  const checkpoint = await openCheckpoint(`${GOLDENS}/torch/model-safetensors`, diskFiles());
  const at = checkpoint.locate('layers.0.attention.query')!;
  expect(at).toMatchObject({
    dtype: 'f32',
    shape: [24, 24],
    transposed: true,
    file: `${GOLDENS}/torch/model-safetensors/model.safetensors`,
  });
  const [first] = await checkpoint.read('layers.0.attention.query');
  expect(new DataView(safetensors.buffer).getFloat32(at.begin, true)).toBe(first);
  await checkpoint.close();
});

describe('hostile', () => {
  const HOSTILE = `${GOLDENS}/torch/hostile`;
  const files = [...readFileSync(`${HOSTILE}/README.md`, 'utf8').matchAll(/^\| `([^`]+?)\/?` \|[^|]*\| (\*\*read\*\*|refuse)/gm)].map(
    ([, name, demand]) => [name!, demand!] as const,
  );
  const READ: Record<string, Record<string, readonly number[]>> = {
    'ok-padded.safetensors': { w: [...Array(12).keys()] },
    'ok-empty-and-scalar.safetensors': { e: [], s: [1.5] },
    'ok-misaligned.safetensors': { b: [1, 2, 3], w: [...Array(12).keys()] },
    'ok-out-of-order.safetensors': { a: [...Array(10).keys()], z: [10, 11] },
    'ok-other-root.bin': { 'model.w': [...Array(12).keys()], 'f.d': [Math.fround(0.1), -2], 'i.d': [-8, 9] },
    'ok-expanded.bin': { w: [5, 7, 9, 5, 7, 9] },
  };
  test('the list is whole', () => expect(files.length).toBe(48));
  test.each(files)('%s: %s', async (name, demand) => {
    const opened = diskFiles();
    try {
      if (demand === 'refuse') {
        const failure = await openTensors(`${HOSTILE}/${name}`, opened).catch((e: unknown) => e);
        expect(failure).toBeInstanceOf(UserError);
        expect(failure).toMatchObject({ exit: 4, message: expect.stringContaining(name) as string });
        return;
      }
      const { tensors } = await openTensors(`${HOSTILE}/${name}`, opened);
      const values = await Promise.all([...tensors].map(async ([n, t]) => [n, [...(await readView(t.view))]] as const));
      expect(Object.fromEntries(values)).toEqual(READ[name]);
    } finally {
      await opened.close();
    }
  });
});
