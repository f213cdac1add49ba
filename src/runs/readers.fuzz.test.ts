/** The readers of a run folder on damaged files: they read or refuse with a UserError, and nothing else. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';
import { UserError } from '../base/index.ts';
import { openAppender } from './appender.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { findRun, listRuns } from './find.ts';
import { manifestText, parseManifest } from './manifest.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
vi.setConfig({ testTimeout: 60_000 + 10 * numRuns });
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
console.log(`fuzz of run readers: FUZZ=${numRuns} FUZZ_SEED=${seed}`);

const root = mkdtempSync(join(tmpdir(), 'openmoe-fuzz-'));
afterAll(() => rmSync(root, { recursive: true }));

/** `sound` with up to four characters replaced and cut anywhere or not. */
const damaged = (sound: string): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.string({ minLength: 1, maxLength: 3 })), { maxLength: 4 }), fc.nat({ max: 2 * sound.length }))
    .map(([changes, cut]) => {
      let text = sound;
      for (const [at, piece] of changes) text = text.slice(0, at % text.length) + piece + text.slice((at % text.length) + piece.length);
      return text.slice(0, cut);
    });

const record = fc.record({
  name: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,8}$/),
  size: fc.nat(),
  sha256: fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 }).map((digits) => digits.join('')),
});
const manifests = fc.record({ step: fc.nat(), files: fc.uniqueArray(record, { selector: (f) => f.name, maxLength: 4 }) });

test('manifest: what is written is read back', () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const files = [...manifest.files].sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(parseManifest(manifestText(manifest), manifest.step)).toEqual({ step: manifest.step, files });
    }),
    { numRuns, seed },
  );
});

test('manifest: damaged text is refused with a reason, or is the text of what it gives', () => {
  fc.assert(
    fc.property(
      manifests.chain((m) => fc.tuple(fc.constant(m.step), damaged(manifestText(m)))),
      ([step, text]) => {
        const manifest = parseManifest(text, step);
        if (typeof manifest !== 'string') expect(manifestText(manifest)).toBe(text);
      },
    ),
    { numRuns, seed },
  );
});

test('manifest: any JSON is refused', () => {
  const format = fc.constant('openmoe.checkpoint/1');
  const value = fc.oneof(
    fc.jsonValue(),
    fc.record({ format, step: fc.jsonValue(), files: fc.jsonValue() }),
    fc.record({ format, step: fc.constant(1), files: fc.dictionary(fc.string(), fc.jsonValue()) }),
  );
  fc.assert(
    fc.property(value, (json) => {
      expect(typeof parseManifest(JSON.stringify(json), 1)).toBe('string');
    }),
    { numRuns, seed },
  );
});

test('run.json: a damaged one is listed as damaged, or as what it says; the lock beside it may be damaged, too', async () => {
  const dir = join(root, 'runs', '2026-11-22-otter');
  mkdirSync(dir, { recursive: true });
  const time = '2026-11-22T10:00:00.000Z';
  const info = JSON.stringify({
    schema: 'openmoe.run/1',
    id: 'x',
    state: 'running',
    created: time,
    updated: time,
    tags: ['a'],
    detail: { step: 1 },
  });
  const states = new Set<string>();
  await fc.assert(
    fc.asyncProperty(damaged(info), damaged('{"pid":1,"start":"x","host":"here"}'), async (text, lock) => {
      writeFileSync(join(dir, 'run.json'), text);
      writeFileSync(join(dir, 'lock'), lock);
      const [run] = await listRuns(join(root, 'runs'));
      states.add(run!.state);
    }),
    { numRuns, seed },
  );
  expect([...states]).toEqual(expect.arrayContaining(['damaged', 'crashed']));
});

test('references: any text finds a run or is refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^(last|otter|\.|\/)?@?[a-z0-9.]{0,4}$/)), async (ref) => {
      try {
        expect((await findRun(ref, join(root, 'runs'))).id).toBe('2026-11-22-otter');
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
      }
    }),
    { numRuns, seed },
  );
});

/** Leaves syncing to chance: nothing fails here, and it takes most of the time. */
const quickDisk: Disk = {
  ...nodeDisk,
  createFile: async (path) => ({ ...(await nodeDisk.createFile(path)), sync: async () => {} }),
  syncFolder: async () => {},
};

test('growing files: however damaged, cutting back leaves whole lines of allowed steps, all of those that were sound', async () => {
  const lines = Array.from({ length: 5 }, (_, step) => `{"step":${step},"loss":0.5}`);
  const path = join(root, 'metrics.jsonl');
  await fc.assert(
    fc.asyncProperty(damaged(`${lines.join('\n')}\n`), fc.nat(6), async (text, last) => {
      writeFileSync(path, text);
      const appender = openAppender(path, quickDisk);
      await appender.truncateAfter(last);
      appender.append({ step: last + 1 });
      appender.close();
      const kept = readFileSync(path, 'utf8').split('\n').slice(0, -2);
      for (const line of kept) expect((JSON.parse(line) as { step?: number } | null)?.step ?? 0).not.toBeGreaterThan(last);
      const sound = text
        .split('\n')
        .slice(0, -1)
        .filter((line) => lines.slice(0, last + 1).includes(line));
      expect(kept.filter((line) => lines.includes(line))).toEqual(sound);
    }),
    { numRuns, seed },
  );
});
