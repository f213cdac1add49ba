/** Programs from files: whatever is damaged or hostile is refused before a kernel runs, and what is not refused runs, on any numbers. */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { rng, UserError } from '../src/base/index.ts';
import {
  type Executor,
  isFloat,
  loadAddon,
  openCpu,
  opNamed,
  opNames,
  type Program,
  readProgram,
  rulesOf,
  sizeOf,
  specsOf,
  writeProgram,
} from '../src/exec/index.ts';
import { gradientProgram, type Numbers, programOf } from './support.ts';

const numRuns = Number(process.env['FUZZ'] ?? 1000);
vi.setConfig({ testTimeout: 120_000 + 10 * numRuns });
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
/** A kernel that crashes takes this process with it: the program stands here. */
const LAST = join(tmpdir(), `openmoe-fuzzed-program-${process.pid}.json`);
console.log(`fuzz of programs: FUZZ=${numRuns} FUZZ_SEED=${seed}; the last one tried is in ${LAST}`);
afterAll(() => rmSync(LAST, { force: true }));

/** Every case of every op, and its gradient. */
const SOUND: readonly Program[] = opNames().flatMap((op) =>
  rulesOf(op).cases.flatMap((c) => [
    programOf(op, c),
    ...(rulesOf(op).vjp && Object.values(c.inputs).some((x) => isFloat(x.dtype)) ? [gradientProgram(op, c).program] : []),
  ]),
);
const HOSTILE = [-1, 0, 1, 2, 3, 7, 64, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 0.5, NaN, Infinity, -Infinity];
/** Beyond this a program is only loaded: a kernel may take as long as its shapes ask for. */
const MOST_WORK = 1e6;

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
interface Change {
  readonly at: number;
  readonly to: number;
  readonly kind: number;
}

/** Every number, string and list in a JSON value, as something to change. */
function* places(x: Json, path: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  if (path.length > 0) yield path;
  if (typeof x === 'object' && x !== null)
    for (const [k, v] of Object.entries(x) as [string, Json][]) yield* places(v, [...path, Array.isArray(x) ? Number(k) : k]);
}

function changed(x: Json, path: readonly (string | number)[], to: (old: Json) => Json | undefined): Json {
  const [key, ...rest] = path;
  if (key === undefined) return to(x)!;
  const copy = (Array.isArray(x) ? [...(x as Json[])] : { ...(x as object) }) as Record<string | number, Json>;
  const next = rest.length === 0 ? to(copy[key]!) : changed(copy[key]!, rest, to);
  if (next === undefined) delete copy[key];
  else copy[key] = next;
  return copy as Json;
}

/** A number becomes a hostile or neighbouring one, a name another name, a list longer or shorter; or the thing disappears. */
function hostile(old: Json, { kind, to }: Change, names: readonly string[]): Json | undefined {
  if (kind === 0) return undefined;
  if (typeof old === 'number') return kind < 4 ? old + [-1, 1, 2][kind - 1]! : (HOSTILE[to % HOSTILE.length] as number);
  if (typeof old === 'string') return names[to % names.length]!;
  if (Array.isArray(old)) return kind < 4 ? (old as Json[]).slice(0, -1) : [...(old as Json[]), (old as Json[])[0] ?? 1];
  return kind < 4 ? null : 7;
}

/** The outputs as their ops would declare them after a change of shapes or attributes: hostile, but consistent. */
function consistent(program: Program): Program {
  const known = new Map(program.arguments.map((a) => [a.id, a as { dtype: (typeof a)['dtype']; shape: readonly number[] }]));
  const code = program.code.map((i) => {
    const made = specsOf(
      opNamed(i.op)!,
      i.in.map((id) => known.get(id)!),
      i.attrs,
    );
    const out = i.out.map((v, n) => v && { ...v, ...made[n]! });
    out.forEach((v) => v && known.set(v.id, v));
    return { ...i, out };
  });
  return { ...program, code };
}

function mutated(program: Program, changes: readonly Change[], repair: boolean): string {
  let json = JSON.parse(writeProgram(program)) as Json;
  for (const change of changes) {
    const all = [...places(json)];
    const names = all.flatMap((p) => (typeof valueAt(json, p) === 'string' ? [valueAt(json, p) as string] : []));
    if (all.length > 0) json = changed(json, all[change.at % all.length]!, (old) => hostile(old, change, [...names, ...opNames()]));
  }
  const text = JSON.stringify(json, (_, x: unknown) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : x));
  if (!repair) return text;
  try {
    return writeProgram(consistent(JSON.parse(text) as Program));
  } catch {
    return text;
  }
}
const valueAt = (x: Json, path: readonly (string | number)[]): Json => path.reduce((v, k) => (v as Record<string | number, Json>)[k]!, x);

/** Ids far outside, NaN, infinities and ordinary numbers. */
function numbersFor({ dtype, shape }: Program['arguments'][number], name: string): Numbers {
  const random = rng(seed).at(name);
  const odd = [NaN, Infinity, -Infinity, 0, -0, 1e38, 1e-40];
  const wild = [-1, 2 ** 31 - 1, -(2 ** 31), 0, 1, 5];
  const from = { length: sizeOf(shape) };
  if (dtype === 'i32')
    return Int32Array.from(from, (_, i) => (random.below(4, i) ? random.below(9, i + 1) : wild[random.below(wild.length, i + 2)]!));
  if (dtype === 'i8') return Int8Array.from(from, (_, i) => random.below(256, i) - 128);
  return Float32Array.from(from, (_, i) => (random.below(6, i) ? random.normal(i) : odd[random.below(odd.length, i + 1)]!));
}

const work = (p: Program): number =>
  [...p.arguments, ...p.code.flatMap((i) => i.out.flatMap((v) => v ?? []))].reduce((n, v) => n + sizeOf(v.shape), 0);

/** Reads and, when it was not refused, runs it. */
async function attempt(executor: Executor, text: string): Promise<'refused' | 'loaded' | 'ran'> {
  try {
    const program = readProgram(text, 'fuzz');
    if (work(program) > MOST_WORK) return 'loaded';
    writeFileSync(LAST, text);
    const loaded = await executor.load(program);
    await loaded.run(Object.fromEntries(program.arguments.map((a) => [a.name, executor.put(numbersFor(a, a.name) as Float32Array, a)])));
    loaded.close();
    return 'ran';
  } catch (error) {
    expect(error, text).toBeInstanceOf(UserError);
    return 'refused';
  }
}

function opened(): Executor | undefined {
  try {
    loadAddon();
    return openCpu({ threads: 2 });
  } catch (error) {
    console.log(`skipped: ${String(error)}`);
    return undefined;
  }
}
const executor = opened();

describe.runIf(executor)('programs from files', () => {
  const change = fc.record({ at: fc.nat(), to: fc.nat(), kind: fc.nat(7) });
  const program = fc.nat(SOUND.length - 1).map((n) => SOUND[n]!);

  test('what was written is read again, and runs', async () => {
    for (const p of SOUND) expect(await attempt(executor!, writeProgram(p)), p.name).toBe('ran');
  });

  test('a program with changed numbers, names and lists is refused, or runs', async () => {
    const verdicts = { refused: 0, loaded: 0, ran: 0 };
    await fc.assert(
      fc.asyncProperty(program, fc.array(change, { minLength: 1, maxLength: 3 }), fc.boolean(), async (p, changes, repair) => {
        verdicts[await attempt(executor!, mutated(p, changes, repair))]++;
      }),
      { numRuns, seed },
    );
    expect(verdicts.refused).toBeGreaterThan(numRuns / 4);
    expect(verdicts.ran).toBeGreaterThan(numRuns / 50);
  });

  test('changed attributes are refused, or run', async () => {
    const withAttrs = SOUND.filter((p) => p.code.some((i) => Object.keys(i.attrs).length > 0));
    const verdicts = { refused: 0, loaded: 0, ran: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(withAttrs.length - 1), fc.nat(), change, async (n, which, c) => {
        const json = JSON.parse(writeProgram(withAttrs[n]!)) as Json;
        const all = [...places(json)].filter((p) => p.includes('attrs') && typeof valueAt(json, p) === 'number');
        const text = JSON.stringify(
          changed(json, all[which % all.length]!, (old) => hostile(old, { ...c, kind: 1 + (c.kind % 7) }, [])),
          (_, x: unknown) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : x),
        );
        let repaired = text;
        try {
          repaired = writeProgram(consistent(JSON.parse(text) as Program));
        } catch {
          // stays as it is: the reader must refuse it
        }
        verdicts[await attempt(executor!, repaired)]++;
      }),
      { numRuns, seed },
    );
    expect(verdicts.ran).toBeGreaterThan(numRuns / 50);
  });

  test('damaged text is refused, or is another sound program', async () => {
    await fc.assert(
      fc.asyncProperty(
        program,
        fc.array(fc.record({ at: fc.nat(), code: fc.nat(126) }), { minLength: 1, maxLength: 4 }),
        async (p, hits) => {
          const text = [...writeProgram(p)];
          for (const { at, code } of hits) text[at % text.length] = String.fromCharCode(code);
          await attempt(executor!, text.join(''));
        },
      ),
      { numRuns, seed },
    );
  });
});
