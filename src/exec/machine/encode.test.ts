import { describe, expect, test } from 'vitest';
import { rng } from '../../base/index.ts';
import { add, checkProgram, fuse, matmul, mul, plan, reduceSum, sigmoid, softmax, trace, type Program } from '../../compile/index.ts';
import { type Addon, cpuFacts, type Engine, loadAddon } from '../cpu/addon.ts';
import { encode } from './encode.ts';

/** Matrices, a reduction, fused chains with a repeated operand and an immediate, and a result that overwrites an argument. */
const program = trace('sample', { x: { shape: [8, 6] }, w: { shape: [6, 5], role: 'parameter' }, b: { shape: [1, 5] } }, ({ x, w, b }) => {
  const y = softmax(add(mul(matmul(x!, w!), 0.5), b!));
  return { results: { y: reduceSum(sigmoid(y), [1]), w: mul(w!, 0.9) }, updates: { w: 'w' } };
});

function built(): Addon | undefined {
  try {
    return loadAddon();
  } catch (error) {
    console.log(`skipped: ${String(error)}`);
    return undefined;
  }
}
const addon = built();

describe.runIf(addon)('the machine', () => {
  const engine = addon?.open(1, cpuFacts(addon, 1).isa) as Engine;
  const fused = fuse(program);
  const { words, names } = encode(fused, plan(fused));
  const verdict = (w: Float64Array, n = names): string => {
    try {
      addon!.close(addon!.load(engine, w, n).handle);
      return 'loaded';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const changed = (at: number, to: number): Float64Array => words.with(at, to);
  // The attributes of this program end the words of each instruction; every word before the instructions is structure.
  const structure = 6 + 3 + 10 * (3 + fused.code.length);

  test('loads what encode writes', () => expect(verdict(words)).toBe('loaded'));

  test('refuses every word of the structure that is not a whole number, negative, or beyond all memory', () => {
    for (let at = 0; at < structure; at++)
      for (const bad of [NaN, Infinity, -Infinity, 0.5, -1, 1e300])
        expect(verdict(changed(at, bad)), `word ${at} = ${bad}`).toBe('E_PROGRAM');
  });

  test('refuses a program that is cut off anywhere, or goes on after its end', () => {
    for (let length = 0; length < words.length; length++) expect(verdict(words.slice(0, length)), `${length} words`).toBe('E_PROGRAM');
    expect(verdict(Float64Array.from([...words, 0]))).toBe('E_PROGRAM');
  });

  test('refuses names that it does not know', () => {
    names.forEach((_, i) => expect(verdict(words, names.with(i, 'no_such_op')), names[i]).toBe('E_PROGRAM'));
    expect(verdict(words, [])).toBe('E_PROGRAM');
  });

  test('refuses an arena that is a line of 64 bytes too small', () => expect(verdict(changed(1, words[1]! - 64))).toBe('E_PROGRAM'));

  test('refuses a fused step that reads a register not yet written', () => {
    const last = fused.code.findLastIndex((i) => 'steps' in i);
    expect(last).toBe(fused.code.length - 1); // the update of w: its last word names a register
    expect(verdict(changed(words.length - 1, 7))).toBe('E_PROGRAM');
  });

  const mutations = Number(process.env['FUZZ'] ?? 1000);
  test('survives mutations: each is refused with a reason, or is another program of the same structure', () => {
    const seed = 20;
    const random = rng(seed).at('mutations');
    const values = [-1, 0, 1, 2, 3, 5, 63, 64, 1e6, 2 ** 31, 2 ** 53, NaN, Infinity, 0.5];
    const verdicts = Array.from({ length: mutations }, (_, n) => {
      const mutated = words.slice();
      for (let k = 0; k <= random.below(3, 9 * n); k++)
        mutated[random.below(words.length, 9 * n + 2 * k + 1)] = values[random.below(values.length, 9 * n + 2 * k + 2)]!;
      return verdict(mutated);
    });
    expect(
      verdicts.filter((v) => !['loaded', 'E_PROGRAM', 'E_MEMORY'].includes(v)),
      `seed ${seed}`,
    ).toEqual([]);
    expect(verdicts.filter((v) => v === 'E_PROGRAM').length).toBeGreaterThan(0.7 * mutations);
  }, 600_000);
});

describe('a program is refused before it is encoded', () => {
  const broken =
    (change: (p: Program) => Partial<Program>): (() => void) =>
    () =>
      checkProgram({ ...program, ...change(program) });
  test('as traced it is sound', () => expect(broken(() => ({}))).not.toThrow());
  test('an output of another shape', () => {
    const lie = (p: Program) => ({
      code: p.code.map((i) => ({ ...i, out: i.out.map((v) => v && { ...v, shape: v.shape.map((d) => d + 1) }) })),
    });
    expect(broken(lie)).toThrow(/^error\[E_PROGRAM\] output .* its signature says/);
  });
  test('an instruction before those it reads', () =>
    expect(broken((p) => ({ code: p.code.toReversed() }))).toThrow(/before it is written/));
  test('an op that nobody declared', () =>
    expect(broken((p) => ({ code: p.code.map((i) => ({ ...i, op: 'no_such_op' })) }))).toThrow(/no op no_such_op/));
  test('a result that nobody writes', () => expect(broken((p) => ({ code: p.code.slice(0, -1) }))).toThrow(/never written/));
});
