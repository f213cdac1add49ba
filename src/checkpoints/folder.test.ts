import { describe, expect, test } from 'vitest';
import { concat, rng, UserError } from '../base/index.ts';
import { openmoe, OPENMOE_DEFAULTS, sizeOf } from '../models/index.ts';
import { type FolderFile, modelFiles, readModel, readWeights } from './index.ts';

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
  groupSize: 77,
});
const values = new Map(
  model.list.map((p) => [p.path, Float32Array.from({ length: sizeOf(p.shape) }, (_, i) => rng(1).at(p.path).normal(i))]),
);

const bytesOf = ({ chunks }: FolderFile): Uint8Array => (chunks instanceof Uint8Array ? chunks : concat([...chunks].map((c) => c.slice())));
const files = new Map(modelFiles(model, (path) => values.get(path)!).map((f) => [f.name, bytesOf(f)]));
const reader =
  (changed: Record<string, Uint8Array> = {}) =>
  (name: string) =>
    Promise.resolve(changed[name] ?? files.get(name)!);
const config = (change: object): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ ...(JSON.parse(new TextDecoder().decode(files.get('config.json'))) as object), ...change }));

describe('a Hugging Face folder', () => {
  test('gives back the model and every weight, to the bit', async () => {
    const read = await readModel(reader(), 'folder');
    expect(read.config).toEqual(model.config);
    expect(await readWeights(read, reader(), 'folder')).toEqual(values);
  });
  test('names tensors as the released checkpoints do, linear ones as [out, in]', () => {
    const header = new TextDecoder().decode(files.get('model.safetensors')!.subarray(8, 2500));
    expect(header).toContain('"model.layers.0.self_attn.q_proj.weight":{"dtype":"F32","shape":[8,6]');
    expect(header).toContain('"model.layers.1.mlp.experts.wi_gate":{"dtype":"F32","shape":[3,6,10]');
    expect(header).toContain('"lm_head.weight":{"dtype":"F32","shape":[40,6]');
  });
  test('with weights of another shape is refused, every tensor named', async () => {
    const wider = openmoe({ ...model.config, inner: 6 });
    const failure = await readWeights(wider, reader(), 'folder').catch((e: unknown) => e as UserError);
    expect(failure).toMatchObject({ code: 'E_WEIGHTS', exit: 4 });
    expect((failure as UserError).problems.length).toBe(9);
  });
  test.each([
    ['a config that is not JSON', { 'config.json': new TextEncoder().encode('{') }, 'not a JSON object'],
    ['a config without hidden size', { 'config.json': config({ hidden_size: undefined }) }, 'hidden_size: missing'],
    ['a config of another dialect', { 'config.json': config({ openmoe_dialect: 'cobol' }) }, 'openmoe_dialect: "cobol"'],
  ])('%s is refused with its place', async (_, changed, message) => {
    await expect(readModel(reader(changed), 'folder')).rejects.toThrow(new RegExp(`E_MODEL_CONFIG.*${message}.*folder/config.json`));
  });
  test('cut short is refused', async () => {
    const cut = { 'model.safetensors': files.get('model.safetensors')!.subarray(0, -5) };
    await expect(readWeights(model, reader(cut), 'folder')).rejects.toThrow('E_SAFETENSORS');
  });
});
