/** The readers of base on damaged input: they read or refuse with a UserError, and nothing else. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { UserError } from './errors.ts';
import { parseGrowingJsonLines, parseJsonLines } from './jsonl.ts';
import { layout, readHeader } from './safetensors.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
vi.setConfig({ testTimeout: 60_000 + 10 * numRuns });
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
console.log(`fuzz of base readers: FUZZ=${numRuns} FUZZ_SEED=${seed}`);

/** `sound` with up to four changed bytes, then cut or lengthened by up to 20. */
const damaged = (sound: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 4 }), fc.integer({ min: -20, max: 20 }))
    .map(([changes, growth]) => {
      const bytes = new Uint8Array(sound.length + growth);
      bytes.set(sound.subarray(0, bytes.length));
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
      return bytes;
    });

function readsOrRefuses(read: () => void): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
  }
}

describe('safetensors', () => {
  const { header, fileSize } = layout(
    [
      { name: 'a', dtype: 'F32', shape: [2] },
      { name: 'b', dtype: 'U8', shape: [3] },
      { name: 'c', dtype: 'BF16', shape: [1, 0, 2] },
    ],
    { format: 'pt' },
  );
  const sound = new Uint8Array(fileSize);
  sound.set(header);

  test('a damaged file gives tensors that lie inside it, or a refusal', () => {
    let read = 0;
    fc.assert(
      fc.property(damaged(sound), (bytes) => {
        readsOrRefuses(() => {
          const { tensors } = readHeader(bytes, bytes.length, 'x');
          let at = bytes.length - [...tensors.values()].reduce((n, t) => n + t.end - t.begin, 0);
          for (const t of tensors.values()) expect([t.begin, (at = t.end) <= bytes.length]).toEqual([at - (t.end - t.begin), true]);
          read++;
        });
      }),
      { numRuns, seed },
    );
    expect(read).toBeGreaterThan(0); // some damage is to the data only
    expect(read).toBeLessThan(numRuns);
  });

  test('a header of any JSON is read or refused', () => {
    const dtype = fc.constantFrom('F32', 'U8', 'F4', 'X', 1);
    const number = fc.oneof(fc.nat(20), fc.constantFrom(-1, 0.5, 2 ** 53, 1e300, null));
    const entry = fc.oneof(
      fc.json({ maxDepth: 2 }).map((text) => JSON.parse(text) as unknown),
      fc.record({ dtype, shape: fc.array(number, { maxLength: 3 }), data_offsets: fc.array(number, { maxLength: 3 }) }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.oneof(fc.string(), fc.constant('__metadata__')), entry, { maxKeys: 3 }), fc.nat(20), (value, data) => {
        const json = new TextEncoder().encode(JSON.stringify(value));
        const bytes = new Uint8Array(8 + json.length + data);
        new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
        bytes.set(json, 8);
        readsOrRefuses(() => void readHeader(bytes, bytes.length, 'x'));
      }),
      { numRuns, seed },
    );
  });
});

test('JSON lines: damaged text is read or refused, and a growing file gives no more than a finished one', () => {
  const sound = new TextEncoder().encode('{"step":1,"loss":2.5}\n\n[1,"ü"]\n{"step":2}\n');
  fc.assert(
    fc.property(damaged(sound), (bytes) => {
      const text = new TextDecoder().decode(bytes);
      readsOrRefuses(() => {
        const growing = parseGrowingJsonLines(text, 'x');
        readsOrRefuses(() => expect(parseJsonLines(text, 'x').slice(0, growing.length)).toEqual(growing));
      });
    }),
    { numRuns, seed },
  );
});
