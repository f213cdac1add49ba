/** Gradients of attention too large for the caches are stored around them: with the same bits.   B rows, T tokens, D features. */
import { afterAll, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';
import { attention, cpuIsas, gradient, mul, openCpu, sum, trace } from '../src/exec/index.ts';
import { withIsa } from './support.ts';

const MACHINES = cpuIsas().map((isa) => ({ isa, machine: withIsa(isa, () => openCpu({ threads: 2 })) }));
afterAll(() => MACHINES.forEach(({ machine }) => machine.close()));

const [T, D, ROWS] = [512, 512, 12];
/** Whole in the first row; in the second cut where no tile ends, with padding that sees nothing. */
const SEGMENTS = [(): number => 1, (t: number): number => (t < 301 ? 1 : t < 490 ? 2 : 0)];

/** Gradients of so many rows, of which every second one is the same. */
async function gradients(machine: (typeof MACHINES)[number]['machine'], rows: number) {
  const shape = [rows, T, D];
  const x = { shape };
  const ids = { shape: [rows, T], dtype: 'i32' as const };
  const specs = { q: x, k: x, v: x, dy: x, segments: ids, start: { shape: [], dtype: 'i32' as const } };
  const program = trace('gradients', specs, ({ q, k, v, dy, segments, start }) => {
    const y = attention(
      { q: q!, k: k!, v: v!, querySegments: segments!, keySegments: segments!, start: start! },
      { heads: 8, scale: 0.125 },
    );
    const [dq, dk, dv] = gradient(sum(mul(y, dy!)), [q!, k!, v!]);
    return { results: { dq: dq!, dk: dk!, dv: dv! } };
  });
  const loaded = await machine.load(program);
  const floats = (name: string) => {
    const random = rng(1).at(name);
    const pair = Float32Array.from({ length: 2 * T * D }, (_, n) => random.uniform(n) - 0.5);
    const all = new Float32Array(rows * T * D);
    for (let row = 0; row < rows; row += 2) all.set(pair, row * T * D);
    return machine.put(all, { dtype: 'f32', shape });
  };
  const segments = Int32Array.from({ length: rows * T }, (_, n) => SEGMENTS[Math.floor(n / T) % 2]!(n % T));
  const results = await loaded.run({
    ...Object.fromEntries(['q', 'k', 'v', 'dy'].map((name) => [name, floats(name)])),
    segments: machine.put(segments, specs.segments),
    start: machine.put(Int32Array.of(0), specs.start),
  });
  const read = Object.entries(results).map(([name, tensor]) => [name, Float32Array.from(machine.get(tensor) as Float32Array)] as const);
  loaded.close();
  return Object.fromEntries(read);
}

test.each(MACHINES)('$isa: each row of a large batch has the gradients that it has in a small one', async ({ machine }) => {
  const small = await gradients(machine, 2);
  const large = await gradients(machine, ROWS); // 37.7 MB of results
  for (const [name, expected] of Object.entries(small)) {
    expect(expected.some((x) => x !== 0)).toBe(true);
    const bytes = Buffer.from(expected.buffer);
    for (let at = 0; at < large[name]!.length; at += expected.length) {
      const part = large[name]!.slice(at, at + expected.length);
      expect(bytes.equals(Buffer.from(part.buffer)), `${name} from ${at} on`).toBe(true);
    }
  }
});
