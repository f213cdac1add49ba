/** Crashes, power failures and full disks at every single operation. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Disk, type GrowingFile, nodeDisk, writeAtomic } from './disk.ts';
import { createRun, openRun, type Run } from './run.ts';

const root = mkdtempSync(join(tmpdir(), 'openmoe-crash-'));
afterAll(() => rmSync(root, { recursive: true }));

class Killed extends Error {}

/** A disk that dies at its n-th operation from `arm(n)` on, in the middle of it if it is a write or a removal; disarmed, it is a sound disk again. */
class MortalDisk implements Disk {
  private left = Infinity;
  private dead = false;
  private readonly unsynced = new Set<string>();
  private readonly unsyncedNames: { readonly from: string; readonly to: string; readonly replaced: string | undefined }[] = [];

  arm(operations: number): void {
    this.left = operations;
  }

  /** Whether it died since it was armed. */
  disarm(): boolean {
    const { dead } = this;
    [this.left, this.dead] = [Infinity, false];
    return dead;
  }

  /** What a power failure may do on top: content and names that were not synced are lost. */
  losePower(): void {
    for (const path of this.unsynced) if (existsSync(path)) truncateSync(path, Math.floor(statSync(path).size / 2));
    for (const { from, to, replaced } of this.unsyncedNames.toReversed()) {
      if (existsSync(to)) renameSync(to, from);
      if (replaced !== undefined) copyFileSync(replaced, to);
    }
    this.unsynced.clear();
    this.unsyncedNames.length = 0;
  }

  private tick(): void {
    if (this.dead || this.left-- <= 0) {
      this.dead = true;
      throw new Killed();
    }
  }

  async createFile(path: string) {
    this.tick();
    const file = await nodeDisk.createFile(path);
    this.unsynced.add(path);
    return {
      write: async (bytes: Uint8Array) => {
        if (!this.dead && this.left === 0) await file.write(bytes.subarray(0, bytes.length >> 1));
        this.tick();
        await file.write(bytes);
      },
      sync: async () => {
        this.tick();
        await file.sync();
        this.unsynced.delete(path);
      },
      close: () => file.close(), // the dead close theirs, too
    };
  }

  openGrowing(path: string): GrowingFile {
    this.tick();
    return nodeDisk.openGrowing(path);
  }

  async createFolder(path: string) {
    this.tick();
    await nodeDisk.createFolder(path);
  }

  async syncFolder(path: string) {
    this.tick();
    await nodeDisk.syncFolder(path);
    for (let i = this.unsyncedNames.length - 1; i >= 0; i--)
      if (dirname(this.unsyncedNames[i]!.to) === path) this.unsyncedNames.splice(i, 1);
  }

  async rename(from: string, to: string) {
    this.tick();
    const replaced = existsSync(to) && statSync(to).isFile() ? join(root, `replaced-${this.unsyncedNames.length}`) : undefined;
    if (replaced !== undefined) copyFileSync(to, replaced);
    await nodeDisk.rename(from, to);
    this.unsyncedNames.push({ from, to, replaced });
    for (const path of this.unsynced) if (path.startsWith(`${from}/`)) this.unsynced.add(to + path.slice(from.length));
  }

  async link(from: string, to: string) {
    this.tick();
    await nodeDisk.link(from, to);
  }

  async remove(path: string) {
    if (!this.dead && this.left === 0 && existsSync(path) && statSync(path).isDirectory()) rmSync(join(path, readdirSync(path)[0]!));
    this.tick();
    await nodeDisk.remove(path);
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const filesOf = (step: number) => [
  { name: 'model.safetensors', chunks: [bytes(`weights of ${step}, `), bytes('in two pieces')] },
  { name: 'config.json', chunks: bytes('{}') },
];
const hidden = (dir: string): string[] => readdirSync(dir).filter((name) => name.startsWith('.'));
const start = (name: string, disk: Disk): Promise<Run> =>
  createRun({ root, dir: join(root, name), recipe: { seed: 1 }, origin: {}, env: {} }, disk);
const content = async (run: Run, step: number): Promise<string> =>
  new TextDecoder().decode(await (await run.readCheckpoint(step)).read('model.safetensors'));

describe.each(['a killed process', 'a power failure'])('%s at any operation', (kind) => {
  /** Does `act` with a disk that dies at operation 0, 1, 2, … until it lives; `check` sees the run opened again after each death. */
  async function everyDeath(name: string, act: (run: Run) => Promise<unknown>, check: (run: Run) => Promise<void>): Promise<void> {
    let deaths = 0;
    for (let died = true, n = 0; died; n++) {
      const disk = new MortalDisk();
      const run = await start(`${name}-${kind.at(-1)}-${n}`, disk);
      for (const step of [1, 2, 3]) await run.saveCheckpoint(step, filesOf(step));
      disk.arm(n);
      const outcome = await act(run).catch((error: unknown) => error);
      died = disk.disarm();
      if (died) expect(outcome).toBeInstanceOf(Killed);
      if (died && kind === 'a power failure') disk.losePower();
      deaths += Number(died);
      await run.close();
      const again = await openRun(run.dir);
      await check(again);
      expect([hidden(run.path('checkpoints')), hidden(run.dir).filter((f) => !f.startsWith(`.tmp-${process.pid}-`))]).toEqual([[], []]);
      await again.close();
    }
    expect(deaths).toBeGreaterThan(3);
  }

  test('of a save leaves the earlier checkpoints readable and the new one whole or absent', async () => {
    await everyDeath(
      'save',
      (run) => run.saveCheckpoint(4, filesOf(4)),
      async (run) => {
        for (const step of await run.checkpoints()) expect(await run.verifyCheckpoint(step)).toEqual([]);
        expect(await content(run, 3)).toBe('weights of 3, in two pieces');
        const { step, skipped } = await run.newestSound();
        expect([step === 3 || step === 4, skipped]).toEqual([true, []]);
        await run.saveCheckpoint(4, filesOf(4));
        expect(await content(run, 4)).toBe('weights of 4, in two pieces');
      },
    );
  });

  test('of a clean-up leaves the checkpoints that were to stay, and the others whole or gone', async () => {
    await everyDeath(
      'keep',
      (run) => run.keep({ permanent: (step) => step === 1, rolling: 1 }),
      async (run) => {
        const steps = await run.checkpoints();
        expect(steps).toEqual(steps.includes(2) ? [1, 2, 3] : [1, 3]);
        for (const step of steps) expect(await run.verifyCheckpoint(step)).toEqual([]);
      },
    );
  });

  test('of a change of state leaves the old or the new one', async () => {
    await everyDeath(
      'state',
      (run) => run.setState('finished', { step: 3 }),
      async (run) => {
        expect(['running', 'finished']).toContain((await run.info()).state);
      },
    );
  });
});

test('a run whose creation was killed can be created again', async () => {
  for (let died = true, n = 0; died; n++) {
    const disk = new MortalDisk();
    disk.arm(n);
    const first = await start(`create-${n}`, disk).catch((error: unknown) => error);
    died = disk.disarm();
    if (!died) await (first as Run).close();
    else rmSync(join(root, `create-${n}`, 'lock'), { force: true }); // its owner is dead, which this process cannot be
    const run = existsSync(join(root, `create-${n}`, 'run.json'))
      ? await openRun(join(root, `create-${n}`))
      : await start(`create-${n}`, nodeDisk);
    expect([await run.readJson('recipe.json'), (await run.info()).state]).toEqual([{ seed: 1 }, 'running']);
    await run.close();
    if (!died) expect(n).toBeGreaterThan(20);
  }
});

/** Sound, but with room for so many bytes only. */
function fullDisk(room: number, code: string): Disk {
  const take = (length: number): number => {
    const taken = Math.min(room, length);
    room -= taken;
    return taken;
  };
  const full = (): Error => Object.assign(new Error(code), { code });
  return {
    ...nodeDisk,
    async createFile(path) {
      const file = await nodeDisk.createFile(path);
      return {
        ...file,
        async write(data) {
          const taken = take(data.length);
          await file.write(data.subarray(0, taken));
          if (taken < data.length) throw full();
        },
      };
    },
    openGrowing(path) {
      const file = nodeDisk.openGrowing(path);
      return {
        ...file,
        append(data) {
          if (take(data.length) < data.length) throw full();
          file.append(data);
        },
      };
    },
  };
}

describe('a disk that is full after any number of bytes', () => {
  test.each(['ENOSPC', 'EDQUOT'])(
    '(%s) is reported as E_DISK_FULL, exit 5, leaves no half checkpoint and the earlier one readable',
    async (code) => {
      const dir = join(root, `full-${code}`);
      const first = await start(`full-${code}`, nodeDisk);
      await first.saveCheckpoint(1, filesOf(1));
      await first.close();
      let refused = 0;
      for (let room = 120, saved = false; !saved; room += 13) {
        const roomForState = statSync(join(dir, 'run.json')).size;
        const run = await openRun(dir, fullDisk(roomForState + room, code)); // 120 for the claim to the lock
        const outcome: unknown = await run.saveCheckpoint(2, filesOf(2)).then(
          () => 'saved',
          (error: unknown) => error,
        );
        saved = outcome === 'saved';
        if (!saved) {
          refused++;
          expect(outcome).toMatchObject({ code: 'E_DISK_FULL', exit: 5 });
          expect(readdirSync(run.path('checkpoints'))).toEqual(['step-000001']);
          expect(await content(run, 1)).toBe('weights of 1, in two pieces');
        }
        await run.close();
      }
      expect(refused).toBeGreaterThan(10);
    },
  );

  test('keeps the lines that were appended before, whole', async () => {
    const run = await start('full-lines', fullDisk(1500, 'ENOSPC'));
    const metrics = run.appender('metrics.jsonl');
    let appended = 0;
    const fill = (): void => {
      for (; appended < 1000; appended++) metrics.append({ step: appended });
    };
    expect(fill).toThrow(/E_DISK_FULL/);
    expect((await run.readLines('metrics.jsonl')).map((l) => l.value)).toEqual(Array.from({ length: appended }, (_, step) => ({ step })));
    await run.close();
  });
});

test('a file written atomically is the old or the new one, whatever happens', async () => {
  const path = join(root, 'atomic.txt');
  for (let died = true, n = 0; died; n++) {
    await writeAtomic(path, 'old');
    const disk = new MortalDisk();
    disk.arm(n);
    await writeAtomic(path, 'new and longer', disk).catch(() => {});
    died = disk.disarm();
    if (n % 2) disk.losePower();
    expect(['old', 'new and longer']).toContain(readFileSync(path, 'utf8'));
  }
});
