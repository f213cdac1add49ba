/** Products of experts take other ways than dense ones where an expert has few rows: with the same bits.   E experts, D → F features. */
import { afterAll, describe, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';
import { cast, gradient, groupedMatmul, matmul, mul, slice, sum, type Tensor, reshape, trace } from '../src/exec/index.ts';
import { executors } from './support.ts';

const MACHINES = executors().map(([name, open]) => ({ name, machine: open() }));
afterAll(() => MACHINES.forEach(({ machine }) => machine.close()));

/** One and two blocks of the depth, of either type; whole panels of columns and others. */
const SHAPES = [
  [1100, 96],
  [320, 160],
  [96, 1100],
  [70, 50],
] as const;
const SIZES = [16, 0, 31, 3, 64, 130, 1];
const rows = SIZES.reduce((a, b) => a + b, 0);

/** What experts and dense products make of the same operands, forward and backward. */
function both(D: number, F: number, dtype: 'f32' | 'bf16') {
  const specs = {
    x: { shape: [rows, D], dtype },
    w: { shape: [SIZES.length, D, F] },
    dy: { shape: [rows, F] },
    sizes: { shape: [SIZES.length], dtype: 'i32' as const },
  };
  const part = (t: Tensor, at: number, count: number): Tensor => slice(t, [at, 0], [count, t.shape[1]!]);
  return trace('both', specs, (operands) => {
    const { x, w, dy, sizes } = operands as Record<keyof typeof specs, Tensor>;
    const y = groupedMatmul(x, w, sizes);
    const [dx, dw] = gradient(sum(mul(y, dy)), [x, w]);
    let begin = 0;
    const each = SIZES.map((count, e) => {
      const [one, to] = [cast(part(cast(x, 'f32'), begin, count), dtype), cast(part(dy, begin, count), dtype)];
      const weight = reshape(slice(w, [e, 0, 0], [1, D, F]), [D, F]);
      begin += count;
      return {
        [`expert ${e} y`]: matmul(one, weight),
        [`expert ${e} dx`]: cast(matmul(to, weight, { transB: true, dtype }), 'f32'),
        [`expert ${e} dw`]: matmul(one, to, { transA: true }),
      };
    });
    return { results: Object.assign({ 'all y': y, 'all dx': cast(dx!, 'f32'), 'all dw': dw! }, ...each) as Record<string, Tensor> };
  });
}

describe.each(MACHINES)('with $name', ({ machine }) => {
  test.each(SHAPES.flatMap(([D, F]) => (['f32', 'bf16'] as const).map((dtype) => [dtype, D, F] as const)))(
    'experts in %s, %i → %i, have the bits of dense layers',
    async (dtype, D, F) => {
      const program = both(D, F, dtype);
      const loaded = await machine.load(program);
      const made = await loaded.run(
        Object.fromEntries(
          program.arguments.map((a) => {
            const random = rng(5).at(a.name);
            const size = a.shape.reduce((x, y) => x * y, 1);
            return [
              a.name,
              machine.put(a.dtype === 'i32' ? Int32Array.from(SIZES) : Float32Array.from({ length: size }, (_, n) => random.normal(n)), a),
            ];
          }),
        ),
      );
      const bytes = (name: string, from: number, count: number): Buffer => {
        const numbers = machine.get(made[name]!);
        return Buffer.from(numbers.buffer, numbers.byteOffset + 4 * from, 4 * count);
      };
      let begin = 0;
      SIZES.forEach((count, e) => {
        const same = (what: string, from: number, size: number): void =>
          expect(bytes(`all ${what}`, from, size).equals(bytes(`expert ${e} ${what}`, 0, size)), `${what} of expert ${e}`).toBe(true);
        same('y', begin * F, count * F);
        same('dx', begin * D, count * D);
        same('dw', e * D * F, D * F);
        begin += count;
      });
      loaded.close();
    },
  );
});
