/** Weights that lie as [out,in] are read where they lie, plain or packed: with the bits that turned ones give, for any number of rows. */
import { afterAll, describe, expect, test } from 'vitest';
import { matmul, packWeights, type Program, slice, type Tensor, trace, transpose } from '../src/exec/index.ts';
import { evaluate, executors, fill } from './support.ts';

const MACHINES = executors().map(([name, open]) => ({ name, machine: open() }));
afterAll(() => MACHINES.forEach(({ machine }) => machine.close()));

/** One, a few and many rows; the last is what the others are cut from. */
const ROWS = [1, 3, 8, 9, 40];
const ALL = 40;

/** Every argument from the normal distribution. */
const drawn = (program: Program) => Object.fromEntries(program.arguments.map((a) => [a.name, fill(a, a.name)]));

describe.each(MACHINES)('with $name', ({ machine }) => {
  // Part of a vector, of a block of the depth, of a task; several blocks.
  test.each([
    [1100, 96],
    [1536, 70],
    [96, 1100],
    [37, 5],
  ])('a product of depth %i and %i columns', async (depth, cols) => {
    const shapes = { x: [ALL, depth], w: [cols, depth] };
    const program = trace('turned', { x: { shape: shapes.x }, w: { shape: shapes.w } }, ({ x, w }) => {
      const rows = (n: number): Tensor => slice(x!, [0, 0], [n, depth]);
      const products = ROWS.flatMap((n) => [
        [`where it lies ${n}`, matmul(rows(n), w!, { transB: true })],
        [`turned ${n}`, matmul(rows(n), transpose(w!, [1, 0]))],
      ]);
      return { results: Object.fromEntries(products) as Record<string, Tensor> };
    });
    const made = await evaluate(machine, program, drawn(program));
    const whole = made[`turned ${ALL}`]!;
    for (const [name, y] of Object.entries(made)) expect(y, name).toEqual(whole.subarray(0, y.length));
  });

  test.each([16, 8, 4] as const)('packed to %i bits', async (bits) => {
    const shapes = { w: [3, 100, 140] };
    const program = trace('pack', { w: { shape: shapes.w } }, ({ w }) => ({
      results: {
        lying: packWeights(w!, { bits, sections: 1, turned: true }),
        turned: packWeights(transpose(w!, [0, 2, 1]), { bits, sections: 1, turned: false }),
      },
    }));
    const { lying, turned } = await evaluate(machine, program, drawn(program));
    expect(lying).toEqual(turned);
  });
});
