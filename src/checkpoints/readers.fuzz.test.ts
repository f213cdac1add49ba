/** Damaged checkpoints of every format: they are read or refused with a UserError, at once, and within their size in memory. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { layout, UserError } from '../base/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { memoryFiles } from './fake-files.ts';
import { type FakeFile, tensorPickle, torchLegacy, torchZip, whole } from './fake-torch.ts';
import { readPickle } from './pickle.ts';
import { readStored } from './stored.ts';
import { openTensors } from './tensor-files.ts';
import { torchVocabulary } from './torch-pickle.ts';
import { sizeOf } from './view.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
vi.setConfig({ testTimeout: 60_000 + 10 * numRuns });
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
console.log(`fuzz of checkpoint readers: FUZZ=${numRuns} FUZZ_SEED=${seed}`);

const values = new Uint8Array(Float32Array.from({ length: 24 }, (_, i) => i).buffer);
const file: FakeFile = {
  storages: [
    { key: '0', dtype: 'F32', count: 24, bytes: values },
    { key: '1', dtype: 'BF16', count: 48, bytes: values },
    { key: '2', dtype: 'I64', count: 2, bytes: values.subarray(0, 16) },
  ],
  tensors: [
    { name: 'a', storage: '0', shape: [4, 6], strides: [6, 1] },
    { name: 'b', storage: '0', offset: 3, shape: [5, 3], strides: [1, 7], parameter: true },
    { name: 'c', storage: '1', shape: [2, 3, 8], strides: [24, 8, 1] },
    { name: 'd', storage: '2', shape: [7, 2], strides: [0, 1] },
  ],
};
const plan = layout(
  [
    { name: 'a', dtype: 'F32', shape: [4, 6] },
    { name: 'b', dtype: 'BF16', shape: [3, 2] },
    { name: 'b.scales', dtype: 'U8', shape: [5] },
  ],
  { format: 'pt' },
);
const safetensors = new Uint8Array(plan.fileSize);
safetensors.set(plan.header);
const index = (shard: string): Uint8Array =>
  new TextEncoder().encode(`{"metadata":{"total_size":1},"weight_map":{"a":"${shard}","b":"m.bin","c":"m.bin","d":"m.bin"}}`);

const BOUNDARIES = [0, 1, 0x7f, 0x80, 0xff, 0x50, 0x28, 0x52, 0x51, 0x62, 0x63, 0x71, 0x72, 0x85, 0x8a, 0x95];

/** `sound` with some bytes changed, parts copied over others or moved, then cut or lengthened: structure as well as numbers. */
const damaged = (sound: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .record({
      changes: fc.array(fc.record({ at: fc.nat(), byte: fc.oneof(fc.nat(255), fc.constantFrom(...BOUNDARIES)) }), { maxLength: 6 }),
      wide: fc.option(fc.record({ at: fc.nat(), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }), { freq: 3 }),
      copy: fc.option(fc.record({ from: fc.nat(), to: fc.nat(), length: fc.nat(40) }), { freq: 3 }),
      growth: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -60, max: 60 }) }),
    })
    .map(({ changes, wide, copy, growth }) => {
      const bytes = new Uint8Array(sound.length + growth);
      bytes.set(sound.subarray(0, bytes.length));
      const place = (at: number): number => at % bytes.length;
      if (copy) bytes.copyWithin(place(copy.to), place(copy.from), place(copy.from) + copy.length);
      for (const { at, byte } of changes) bytes[place(at)] = byte;
      if (wide && bytes.length > 8) new DataView(bytes.buffer).setBigUint64(wide.at % (bytes.length - 8), wide.value, true);
      return bytes;
    });

/** A second, but a neighbour may take half of it: what hangs takes much longer. */
const HANG = 3000;
const ALLOWED = 64 * 2 ** 20;

/** Opens and reads all of it. Returns whether it was read. */
async function readsOrRefuses(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<boolean> {
  const size = Object.values(files).reduce((n, bytes) => n + bytes.length, 0);
  const started = performance.now();
  const onRead = (bytes: number): void => expect(bytes).toBeLessThanOrEqual(size + ALLOWED);
  try {
    const { tensors } = await openTensors(name === '' ? 'x' : `x/${name}`, memoryFiles('x', files, onRead));
    for (const { view } of tensors.values()) {
      expect(4 * sizeOf(view.shape)).toBeLessThanOrEqual(4 * (size + ALLOWED));
      await readStored({ view }, new Float32Array(sizeOf(view.shape)));
    }
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exit).toBeOneOf([3, 4]);
    return false;
  } finally {
    expect(performance.now() - started).toBeLessThan(HANG);
  }
}

/** Some damage is to numbers only, and some is refused: a law about either alone would be empty. */
async function law(sound: Uint8Array, read: (bytes: Uint8Array) => Promise<boolean>): Promise<void> {
  expect(await read(sound)).toBe(true);
  let good = 0;
  await fc.assert(
    fc.asyncProperty(damaged(sound), async (bytes) => {
      if (await read(bytes)) good++;
    }),
    { numRuns, seed },
  );
  expect(good).toBeGreaterThan(0);
  expect(good).toBeLessThan(numRuns);
}

describe('damaged files are read or refused', () => {
  test('zip', () => law(whole(torchZip(file)), (bytes) => readsOrRefuses('m.bin', { 'm.bin': bytes })));
  test('legacy', () => law(whole(torchLegacy(file)), (bytes) => readsOrRefuses('m.bin', { 'm.bin': bytes })));
  test('safetensors', () => law(safetensors, (bytes) => readsOrRefuses('m.safetensors', { 'm.safetensors': bytes })));
  test('an index of shards', () => {
    const shards = {
      'm.bin': whole(torchZip({ ...file, tensors: file.tensors.slice(1) })),
      's.bin': whole(torchZip({ ...file, tensors: file.tensors.slice(0, 1) })),
    };
    return law(index('s.bin'), (bytes) => readsOrRefuses('', { ...shards, 'pytorch_model.bin.index.json': bytes }));
  });
});

test('a damaged config.json gives the model, or a refusal', async () => {
  const golden = (name: string): Uint8Array =>
    new Uint8Array(readFileSync(new URL(`../../test/goldens/torch/model-safetensors/${name}`, import.meta.url)));
  const [config, weights] = [golden('config.json'), golden('model.safetensors')];
  const numbers = fc.constantFrom('0', '-1', '1e9', '1e300', '2.5', 'null', '"x"', '[]', '99999999', '385');
  const text = new TextDecoder().decode(config);
  const places = [...text.matchAll(/: ([^,\n]+)/g)].map((m) => ({ from: m.index + 2, to: m.index + m[0].length }));
  const change = fc.record({ place: fc.constantFrom(...places), value: numbers });
  const changed = fc.oneof(
    change.map(({ place: { from, to }, value }) => new TextEncoder().encode(text.slice(0, from) + value + text.slice(to))),
    damaged(config),
  );
  await fc.assert(
    fc.asyncProperty(changed, async (bytes) => {
      const started = performance.now();
      try {
        const { model } = await openCheckpoint('x', memoryFiles('x', { 'config.json': bytes, 'model.safetensors': weights }));
        expect(model.counts.total).toBe(89_640);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).exit).toBe(4);
      }
      expect(performance.now() - started).toBeLessThan(HANG);
    }),
    { numRuns: Math.min(numRuns, 10_000), seed },
  );
});

test('a pickle of any opcodes in any order is read or refused', () => {
  const sound = tensorPickle(file, true);
  const opcodes = [
    0x28, 0x4e, 0x88, 0x4b, 0x4d, 0x8a, 0x58, 0x8c, 0x7d, 0x5d, 0x29, 0x74, 0x85, 0x86, 0x87, 0x73, 0x75, 0x61, 0x65, 0x71, 0x94, 0x68,
    0x63, 0x93, 0x52, 0x62, 0x51, 0x2e,
  ];
  const run = (bytes: Uint8Array): void => {
    try {
      readPickle(bytes, 0, { vocabulary: torchVocabulary(new Map()), place: 'x' });
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
    }
  };
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...opcodes), fc.nat(255)), { maxLength: 60 }),
      fc.nat(sound.length - 3),
      (codes, keep) => {
        run(Uint8Array.from([0x80, 2, ...sound.subarray(2, 2 + keep), ...codes]));
      },
    ),
    { numRuns, seed },
  );
});
