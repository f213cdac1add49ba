/** PyTorch's files read: every element type, views of every kind, archives above 4 GiB, and what must be refused. */
import { describe, expect, test } from 'vitest';
import { bf16FromF32 } from '../base/index.ts';
import { memoryFiles } from './fake-files.ts';
import { type FakeFile, type FakeStorage, type FakeTensor, tensorPickle, torchLegacy, torchZip, whole } from './fake-torch.ts';
import { narrow } from './numbers.ts';
import { readPickle } from './pickle.ts';
import { readView } from './read-view.ts';
import { openTensors } from './tensor-files.ts';
import { torchVocabulary } from './torch-pickle.ts';

const bytesOf = (x: ArrayBufferView): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
const ramp = Float32Array.from({ length: 60 }, (_, i) => i / 4 - 3);
const f32: FakeStorage = { key: '0', dtype: 'F32', count: 60, bytes: bytesOf(ramp) };
const one = (tensor: Partial<FakeTensor>, storage: FakeStorage = f32): FakeFile => ({
  storages: [storage],
  tensors: [{ name: 'w', storage: storage.key, shape: [60], strides: [1], ...tensor }],
});
const FORMS = { zip: (f: FakeFile) => torchZip(f), legacy: torchLegacy } as const;

async function read(file: FakeFile, form: keyof typeof FORMS, name = 'w'): Promise<number[]> {
  const { tensors } = await openTensors('x/m.bin', memoryFiles('x', { 'm.bin': FORMS[form](file) }));
  return [...(await readView(tensors.get(name)!.view))];
}

describe.each(['zip', 'legacy'] as const)('%s', (form) => {
  test.each([
    ['dense', { shape: [6, 10], strides: [10, 1] }, (i: number) => i],
    ['from an offset', { shape: [3], strides: [1], offset: 57 }, (i: number) => i + 57],
    ['transposed', { shape: [10, 6], strides: [1, 10] }, (i: number) => (i % 6) * 10 + Math.floor(i / 6)],
    ['columns of a matrix', { shape: [6, 3], strides: [10, 1], offset: 4 }, (i: number) => Math.floor(i / 3) * 10 + (i % 3) + 4],
    ['every second', { shape: [30], strides: [2] }, (i: number) => 2 * i],
    ['one row, repeated', { shape: [4, 5], strides: [0, 1], offset: 2 }, (i: number) => (i % 5) + 2],
    [
      'axes turned',
      { shape: [5, 3, 4], strides: [1, 20, 5] },
      (i: number) => Math.floor(i / 12) + (Math.floor(i / 4) % 3) * 20 + (i % 4) * 5,
    ],
    ['a scalar', { shape: [], strides: [], offset: 9 }, () => 9],
    ['a Parameter', { shape: [60], strides: [1], parameter: true }, (i: number) => i],
    ['nothing', { shape: [0, 7], strides: [7, 1] }, (i: number) => i],
  ] as const)('reads a view: %s', async (_, tensor, index) => {
    const values = await read(one(tensor), form);
    expect(values).toEqual(
      Array.from({ length: (tensor.shape as readonly number[]).reduce((n, d) => n * d, 1) }, (__, i) => ramp[index(i)]),
    );
  });

  test('reads every type of element, and two tensors of one storage', async () => {
    const half = narrow(ramp, 'f16', new Uint16Array(60)).bytes.slice();
    const storages: FakeStorage[] = [
      { key: '0', dtype: 'F16', count: 60, bytes: half },
      { key: '1', dtype: 'BF16', count: 60, bytes: bytesOf(bf16FromF32(ramp)) },
      { key: '2', dtype: 'F64', count: 2, bytes: bytesOf(Float64Array.of(0.1, -2)) },
      { key: '3', dtype: 'I64', count: 2, bytes: bytesOf(BigInt64Array.of(-8n, 9n)) },
      { key: '4', dtype: 'U8', count: 3, bytes: Uint8Array.of(1, 2, 255) },
    ];
    const dense = storages.map((s): FakeTensor => ({ name: s.key, storage: s.key, shape: [s.count], strides: [1] }));
    const file = { storages, tensors: [...dense, { name: 'tail', storage: '1', offset: 50, shape: [10], strides: [1] }] };
    expect(await read(file, form, '0')).toEqual([...ramp]);
    expect(await read(file, form, '1')).toEqual([...ramp]);
    expect(await read(file, form, '2')).toEqual([Math.fround(0.1), -2]);
    expect(await read(file, form, '3')).toEqual([-8, 9]);
    expect(await read(file, form, '4')).toEqual([1, 2, 255]);
    expect(await read(file, form, 'tail')).toEqual([...ramp.subarray(50)]);
  });

  test.each([
    ['a tensor beyond its storage', one({ shape: [61] }), 'beyond its storage'],
    ['an offset beyond it', one({ offset: 1 }), 'beyond its storage'],
    ['a stride beyond it', one({ shape: [2], strides: [2 ** 40] }), 'beyond its storage'],
    ['more sizes than strides', one({ shape: [1, 2] }), '2 sizes and 1 strides'],
    ['more elements than any file', one({ shape: [2 ** 40, 2 ** 40], strides: [0, 0] }), 'more elements than any file'],
    ['a storage repeated to gigabytes', one({ shape: [2 ** 30], strides: [0] }), 'repeats its storage'],
    ['a name twice', { storages: [f32], tensors: [one({}).tensors[0]!, one({}).tensors[0]!] }, 'comes twice'],
  ] as const)('refuses %s', async (_, file, message) => {
    await expect(read(file as FakeFile, form)).rejects.toMatchObject({
      code: 'E_PICKLE',
      exit: 4,
      message: expect.stringContaining(message) as string,
    });
  });
});

test('an archive of 12 GB with entries above 4 GiB is read by a few small reads', async () => {
  const count = 1_500_000_000;
  const file: FakeFile = {
    storages: [
      { key: '0', dtype: 'F32', count },
      { key: '1', dtype: 'F32', count },
      { ...f32, key: '2' },
    ],
    tensors: ['a', 'b', 'c'].map((name, i) => ({ name, storage: String(i), shape: [i === 2 ? 60 : count], strides: [1] })),
  };
  let asked = 0;
  const { tensors } = await openTensors(
    'x/m.bin',
    memoryFiles('x', { 'm.bin': torchZip(file) }, (bytes) => (asked += bytes)),
  );
  expect([...(await readView(tensors.get('c')!.view))]).toEqual([...ramp]);
  expect(asked).toBeLessThan(200_000);
});

test('a cut archive, a compressed entry, entries that overlap and other byte orders are refused', async () => {
  const sound = whole(torchZip(one({})));
  const attempt = (change: (bytes: Uint8Array, view: DataView) => Uint8Array | void): Promise<unknown> => {
    const bytes = sound.slice();
    return openTensors('x/m.bin', memoryFiles('x', { 'm.bin': change(bytes, new DataView(bytes.buffer)) ?? bytes }));
  };
  const directory = new DataView(sound.buffer).getUint32(sound.length - 6, true);
  await expect(attempt((b) => b.subarray(0, -30))).rejects.toThrow(/E_ZIP.*cut off/);
  await expect(attempt((_, v) => v.setUint16(directory + 10, 8, true))).rejects.toThrow(/E_ZIP.*compressed/);
  await expect(attempt((_, v) => v.setUint32(directory + 42, 8, true))).rejects.toThrow(/E_ZIP/);
  const little = [...sound.keys()].find((i) => new TextDecoder().decode(sound.subarray(i, i + 6)) === 'little')!;
  await expect(attempt((b) => b.set(new TextEncoder().encode('big   '), little))).rejects.toThrow(/E_PICKLE.*byte order/);
});

describe('a pickle', () => {
  const run = (...bytes: number[]) =>
    readPickle(Uint8Array.of(0x80, 2, ...bytes), 0, { vocabulary: torchVocabulary(new Map()), place: 'x' });
  const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];
  test.each([
    ['a global that no checkpoint needs', [...ascii('cos\nsystem\n'), 0x2e], 'os.system'],
    ['a global by stack', [0x8c, 2, ...ascii('os'), 0x8c, 6, ...ascii('system'), 0x93, 0x2e], 'os.system'],
    ['a property of Object', [...ascii('cconstructor\nname\n'), 0x2e], 'constructor.name'],
    ['an unknown opcode', [0xff], '0xff'],
    ['NEWOBJ, by its name', [0x81], 'NEWOBJ'],
    ['an empty stack', [0x52], 'empty stack'],
    ['a mark taken for a value', [0x28, 0x2e], 'empty stack'],
    ['a memo that was never set', [0x68, 7, 0x2e], 'memo 7'],
    ['a text beyond the end', [0x58, 255, 255, 255, 255], 'ends within'],
    ['a text of 2^62 bytes', [0x8d, 0, 0, 0, 0, 0, 0, 0, 64], 'ends within'],
    ['a call of a tuple', [0x29, 0x29, 0x52, 0x2e], 'calls a tuple'],
    ['a state on a text', [0x8c, 1, 0x61, 0x7d, 0x62, 0x2e], 'state of a text'],
    ['values left over', [0x4e, 0x4e, 0x2e], 'left over'],
    ['a key that is no text', [0x7d, 0x4e, 0x4e, 0x73, 0x2e], 'None, not a text'],
    ['no end', [0x4e], 'ends within'],
    ['a frame beyond the end', [0x95, 0, 0, 0, 0, 0, 0, 0, 64, 0x4e, 0x2e], 'frame of'],
    ['a fraction for a key', [0x7d, 0x47, 0x40, 8, 0, 0, 0, 0, 0, 0, 0x4e, 0x73, 0x2e], 'a float, not a text'],
    ['another protocol', [0x80, 9], 'protocol 9'],
  ])('is refused for %s', (_, bytes, message) => {
    expect(() => run(...bytes)).toThrow(new RegExp(`E_PICKLE.*${message}`));
  });
  test('of protocol 4 is read: frames, short texts, memoize', () => {
    const pickle = tensorPickle(one({}), false);
    const framed = Uint8Array.of(0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, ...pickle.subarray(2));
    expect(readPickle(framed, 0, { vocabulary: torchVocabulary(new Map()), place: 'x' }).end).toBe(framed.length);
    expect(run(0x8c, 1, 0x61, 0x94, 0x68, 0, 0x86, 0x2e).value).toEqual({ kind: 'tuple', items: ['a', 'a'] });
  });
  test('that walks a long tuple again and again is refused at once', () => {
    const long = [0x28, ...new Array<number>(20_000).fill(0x4e), 0x74, 0x71, 0, 0x68, 0, 0x86]; // memo 0: 20,000 items
    const [first] = [performance.now()];
    expect(() => run(...long, 0x2e)).not.toThrow();
    const tensor = tensorPickle(one({ shape: new Array<number>(70).fill(1), strides: new Array<number>(70).fill(1) }), false);
    expect(() => readPickle(tensor, 0, { vocabulary: torchVocabulary(new Map()), place: 'x' })).toThrow(/70 dimensions/);
    expect(performance.now() - first).toBeLessThan(1000);
  });
  test('of a million values is refused', () => {
    const many = new Uint8Array(1_200_002).fill(0x4e);
    many.set([0x80, 2]);
    expect(() => readPickle(many, 0, { vocabulary: torchVocabulary(new Map()), place: 'x' })).toThrow(/more than 1048576 values/);
  });
});
