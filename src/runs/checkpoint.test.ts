import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRun, type Run } from './run.ts';
import { expendable } from './save-checkpoint.ts';

const root = mkdtempSync(join(tmpdir(), 'openmoe-checkpoint-'));
let run: Run;
beforeAll(async () => {
  run = await createRun({ root, name: 'saved', recipe: {}, origin: {}, env: {} });
});
afterAll(async () => {
  await run.close();
  rmSync(root, { recursive: true });
});

const pattern = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 255);
async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const FILES = {
  'model.safetensors': pattern(700, 1),
  'optimizer.safetensors': pattern(300, 2),
  'config.json': pattern(40, 3),
  'cursor.json': pattern(1, 4),
};
const names = [...Object.keys(FILES), 'manifest.json'];
const save = (step: number, pieces = 64) =>
  run.saveCheckpoint(
    step,
    Object.entries(FILES).map(([name, bytes]) => ({ name, chunks: inPieces(bytes, pieces) })),
  );
const place = (step: number, ...more: string[]): string => run.path('checkpoints', `step-${String(step).padStart(6, '0')}`, ...more);

describe('a saved checkpoint', () => {
  test('is read back, whole and in ranges, in pieces or not', async () => {
    await save(641);
    const checkpoint = await run.readCheckpoint(641);
    for (const [name, bytes] of Object.entries(FILES)) {
      expect(await checkpoint.read(name)).toEqual(bytes);
      expect(await checkpoint.readRange(name, bytes.length >> 2, bytes.length)).toEqual(bytes.subarray(bytes.length >> 2));
    }
    expect(await run.verifyCheckpoint(641)).toEqual([]);
  });

  test('has the same bytes however its content was cut, and whatever the order of files', async () => {
    await save(1, 7);
    await run.saveCheckpoint(
      2,
      Object.entries(FILES)
        .reverse()
        .map(([name, chunks]) => ({ name, chunks })),
    );
    for (const name of Object.keys(FILES)) expect(readFileSync(place(1, name))).toEqual(readFileSync(place(2, name)));
    expect(readFileSync(place(1, 'manifest.json'), 'utf8').replace('"step": 1', '"step": 2')).toBe(
      readFileSync(place(2, 'manifest.json'), 'utf8'),
    );
  });

  test('names sizes and hashes that sha256sum would print', () => {
    const manifest = JSON.parse(readFileSync(place(641, 'manifest.json'), 'utf8')) as { files: Record<string, unknown> };
    expect(manifest.files['cursor.json']).toEqual({ size: 1, sha256: createHash('sha256').update(FILES['cursor.json']).digest('hex') });
    expect(Object.keys(manifest.files)).toEqual(Object.keys(FILES).sort());
  });

  test('may be saved again: kept when sound, replaced when not', async () => {
    await save(700);
    const { ino } = statSync(place(700));
    await save(700);
    expect(statSync(place(700)).ino).toBe(ino);
    truncateSync(place(700, 'config.json'), 3);
    await save(700);
    expect(await run.verifyCheckpoint(700)).toEqual([]);
    expect(readdirSync(run.path('checkpoints')).filter((name) => name.startsWith('.'))).toEqual([]);
    rmSync(place(700), { recursive: true });
  });

  test('that its writer gives up half-way leaves nothing', async () => {
    async function* failing() {
      yield { name: 'model.safetensors', chunks: pattern(10, 0) };
      throw new Error('the writer failed');
    }
    await expect(run.saveCheckpoint(800, failing())).rejects.toThrow('the writer failed');
    expect(readdirSync(run.path('checkpoints')).some((name) => name.includes('800'))).toBe(false);
  });

  test.each(['../escape', 'a/b', '.hidden', 'manifest.json', ''])('cannot hold a file named %j', async (name) => {
    await expect(run.saveCheckpoint(801, [{ name, chunks: pattern(1, 0) }])).rejects.toThrow(/internal: checkpoint file/);
  });
});

describe('damage', () => {
  const manifestBytes = (): number => statSync(place(9, 'manifest.json')).size;
  const harms: Readonly<Record<string, (path: string) => void>> = {
    missing: (path) => rmSync(path),
    emptied: (path) => truncateSync(path, 0),
    'one byte short': (path) => truncateSync(path, statSync(path).size - 1),
    'one byte long': (path) => appendFileSync(path, 'x'),
  };

  async function harmed(file: string, harm: (path: string) => void): Promise<void> {
    rmSync(place(9), { recursive: true, force: true });
    await save(9);
    harm(place(9, file));
  }

  test.each(names.flatMap((file) => Object.keys(harms).map((harm) => [file, harm] as const)))(
    '%s %s is found, named, and skipped',
    async (file, harm) => {
      await harmed(file, harms[harm]!);
      expect((await run.verifyCheckpoint(9)).map((d) => d.file)).toEqual([file]);
      const read = async (): Promise<unknown> => (await run.readCheckpoint(9)).read(file);
      await expect(read()).rejects.toMatchObject({
        code: 'E_CHECKPOINT_DAMAGED',
        exit: 4,
        message: expect.stringContaining(file) as string,
      });
      rmSync(place(641), { recursive: true, force: true });
      rmSync(place(8), { recursive: true, force: true });
      await save(8);
      expect(await run.newestSound()).toMatchObject({ step: 8, skipped: [{ step: 9, damages: [{ file }] }] });
    },
  );

  test.each(Object.keys(FILES))('a flipped bit in %s is found and named', async (file) => {
    await harmed(file, () => {});
    const sound = readFileSync(place(9, file));
    for (let at = 0; at < sound.length; at += 1 + (sound.length >> 3)) {
      const bytes = Uint8Array.from(sound);
      bytes[at]! ^= 1 << (at & 7);
      writeFileSync(place(9, file), bytes);
      expect(await run.verifyCheckpoint(9)).toEqual([{ file, reason: expect.stringContaining('SHA-256') as string }]);
    }
  });

  test('no flipped bit anywhere in the manifest goes unnoticed', async () => {
    await harmed('manifest.json', () => {});
    const sound = readFileSync(place(9, 'manifest.json'));
    for (let at = 0; at < manifestBytes(); at++) {
      const bytes = Uint8Array.from(sound);
      bytes[at]! ^= 1 << (at % 7);
      writeFileSync(place(9, 'manifest.json'), bytes);
      expect((await run.verifyCheckpoint(9)).length, `byte ${at}`).toBeGreaterThan(0);
    }
  });

  test('of the newest ones does not outlive the resumption from an earlier one', async () => {
    for (const step of [5000, 5001, 5002]) await save(step);
    for (const step of [5001, 5002]) truncateSync(place(step, 'config.json'), 0);
    rmSync(place(5002, 'manifest.json'));
    expect((await run.newestSound()).step).toBe(5000);
    await run.truncateAfter(5000);
    await save(5001);
    expect(await run.keep({ permanent: () => false, rolling: 2 })).not.toContain(5000);
    expect((await run.checkpoints()).slice(-2)).toEqual([5000, 5001]);
    expect(await run.newestSound()).toEqual({ step: 5001, skipped: [] });
    for (const step of [5000, 5001]) rmSync(place(step), { recursive: true });
  });

  test('of all checkpoints leaves none', async () => {
    for (const step of await run.checkpoints()) rmSync(place(step, 'config.json'));
    const { step, skipped } = await run.newestSound();
    expect(step).toBeUndefined();
    expect(skipped.length).toBe((await run.checkpoints()).length);
  });
});

test('a folder without manifest is no checkpoint, and a step that was not saved is named with its neighbours', async () => {
  await save(20);
  await save(30);
  rmSync(place(30, 'manifest.json'));
  expect(await run.checkpoints()).not.toContain(30);
  await expect(run.readCheckpoint(30)).rejects.toThrow(/manifest\.json is missing/);
  await expect(run.readCheckpoint(21)).rejects.toMatchObject({
    code: 'E_CHECKPOINT_UNKNOWN',
    exit: 3,
    message: expect.stringContaining('20') as string,
  });
});

describe('retention', () => {
  test('permanent ones stay, and so do the newest others', () => {
    const permanent = (step: number): boolean => step % 100 === 0;
    expect(expendable([0, 10, 20, 30, 100, 110], { permanent, rolling: 2 })).toEqual([10, 20]);
    expect(expendable([0, 10], { permanent, rolling: 2 })).toEqual([]);
    expect(expendable([10, 20], { permanent, rolling: 0 })).toEqual([10, 20]);
  });

  test('deletes what need not stay', async () => {
    for (const step of [1001, 1002, 1003]) await save(step);
    const before = await run.checkpoints();
    const gone = await run.keep({ permanent: (step) => step < 1001, rolling: 2 });
    expect(gone).toEqual([1001]);
    expect(await run.checkpoints()).toEqual(before.filter((step) => step !== 1001));
  });
});
