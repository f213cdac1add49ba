import { describe, expect, test } from 'vitest';
import {
  add,
  exp,
  fuse,
  gradient,
  lower,
  matmul,
  mul,
  opNamed,
  plan,
  print,
  type Program,
  type Tensor,
  reshape,
  rmsNorm,
  rope,
  bytesOf,
  sum,
  trace,
} from './index.ts';

const f = (...shape: number[]) => ({ shape });

describe('gradient', () => {
  test('what the loss does not depend on has gradient zero', () => {
    const program = trace('zero', { a: f(2), b: f(3) }, ({ a, b }) => ({ results: { db: gradient(sum(a!), [b!])[0]! } }));
    expect(print(program)).toMatch(/constant\(\) value=0 dtype=0 shape=\[3\]/);
  });
  test('only a scalar can be differentiated', () => {
    expect(() => trace('vector', { a: f(2) }, ({ a }) => ({ results: { da: gradient(a!, [a!])[0]! } }))).toThrow(
      'gradient: loss must be a scalar, got [2]',
    );
  });
});

describe('simplify', () => {
  test('the same expression is computed once, and 1·x is x', () => {
    const program = trace('twice', { a: f(4) }, ({ a }) => ({ results: { y: add(exp(a!), mul(exp(a!), 1)) } }));
    expect(program.code.filter((i) => i.op === opNamed('exp')!.op)).toHaveLength(1);
    expect(program.code.some((i) => i.op === opNamed('mul')!.op)).toBe(false);
  });
});

describe('emit', () => {
  /** A result that overwrites an argument which other instructions read. */
  const update = (): Program =>
    trace('update', { w: { ...f(3, 3), role: 'parameter' }, x: f(2, 3) }, ({ w, x }) => {
      const g = matmul(x!, x!, { transA: true });
      const fresh = add(w!, g);
      return { results: { w: fresh, y: matmul(x!, w!) }, updates: { w: 'w' } };
    });
  test('a result that overwrites an argument without being its op lands there by a copy', () => {
    const program = update();
    expect(plan(program).copies).toHaveLength(1);
  });
});

describe('plan', () => {
  const turned = (build: (x: Tensor, positions: Tensor) => Record<string, Tensor>): Program =>
    trace('turned', { x: f(4, 8), w: f(8, 8), positions: { shape: [4], dtype: 'i32' } }, ({ x, w, positions }) => ({
      results: build(matmul(x!, w!), positions!),
    }));
  const rotation = { heads: 1, theta: 1e4 };
  test('an op that may work in place does where nobody else reads its operand', () => {
    expect(plan(turned((q, positions) => ({ y: rope(q, positions, rotation) }))).bytes).toBe(4 * 32);
    expect(plan(turned((q, positions) => ({ y: rope(q, positions, rotation), q }))).bytes).toBe(8 * 32);
  });
  test('but never in an argument', () => {
    const program = trace('alone', { x: f(4, 8), positions: { shape: [4], dtype: 'i32' } }, ({ x, positions }) => ({
      results: { y: rope(x!, positions!, rotation) },
    }));
    expect(plan(program).bytes).toBe(4 * 32);
  });
});

describe('fuse', () => {
  test('a chain of elementwise ops is one loop, with constants and broadcasts read in place', () => {
    const program = trace('chain', { a: f(8, 4), b: f(4) }, ({ a, b }) => ({ results: { y: exp(mul(add(a!, b!), 2)) } }));
    const fused = fuse(program);
    expect(fused.code.map((i) => i.op).filter((op) => op !== 'reshape')).toEqual(['fused']);
    expect(print(fused)).toMatch(/add\.f32.*mul\.f32.*2.*exp\.f32/);
  });
  test('a value that others read too stays', () => {
    const program = trace('shared', { a: f(8) }, ({ a }) => {
      const e = exp(a!);
      return { results: { y: mul(e, e), s: sum(e) } };
    });
    expect(fuse(program).code.filter((i) => i.op === 'fused')).toHaveLength(2);
  });
});

describe('lower', () => {
  test('an op without a kernel becomes ops that have one, or is refused', () => {
    const program = trace('norm', { x: f(4, 8), scale: f(8) }, ({ x, scale }) => ({ results: { y: rmsNorm(x!, scale!, { eps: 1e-6 }) } }));
    const known = (op: string): boolean => !op.startsWith('rms');
    expect(lower(program, known).code.every((i) => known(i.op))).toBe(true);
    expect(() => lower(program, () => false)).toThrow(/no kernel for/);
  });
});

describe('plan', () => {
  const deep = (): Program =>
    trace('deep', { x: f(16, 16), w: f(16, 16) }, ({ x, w }) => {
      let h = x!;
      for (let i = 0; i < 12; i++) h = exp(matmul(h, reshape(w!, [16, 16])));
      const [dx, dw] = gradient(sum(h), [x!, w!]);
      return { results: { dx: dx!, dw: dw! } };
    });
  test('no two values that live at the same time share memory, and the arena is within 1.2 of the least possible', () => {
    const program = fuse(deep());
    const { places, bytes, lowerBound } = plan(program);
    expect(bytes).toBeLessThanOrEqual(1.2 * lowerBound);
    const lives = program.code.flatMap((i, born) =>
      i.out.flatMap((v) => {
        const place = v && places.get(v.id)!;
        if (!v || !place || !('offset' in place)) return [];
        const dies = program.results.some((r) => r.value === v.id)
          ? program.code.length
          : program.code.findLastIndex((o) => o.in.includes(v.id));
        return [{ id: v.id, from: place.offset, to: place.offset + bytesOf(v), born, dies }];
      }),
    );
    for (const a of lives)
      for (const b of lives)
        if (a.id < b.id && a.born < b.dies && b.born < a.dies) expect(a.to <= b.from || b.to <= a.from, `${a.id} and ${b.id}`).toBe(true);
  });
});
