/** Weights that lie as [out,in] are read where they lie, plain or packed: with the bits that turned ones give, for any number of rows. */
import { afterAll, describe, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';
import {
  type Buffers,
  cpuIsas,
  type Loaded,
  matmul,
  openCpu,
  openWasm,
  packWeights,
  slice,
  type Tensor,
  trace,
  transpose,
  wasmIsas,
} from '../src/exec/index.ts';
import { withIsa } from './support.ts';

const MACHINES = [
  ...cpuIsas().map((isa) => ({ isa, machine: withIsa(isa, () => openCpu({ threads: 2 })) })),
  ...wasmIsas().map((isa) => ({ isa, machine: withIsa(isa, () => openWasm({ threads: 2 })) })),
];
afterAll(() => MACHINES.forEach(({ machine }) => machine.close()));
type Machine = (typeof MACHINES)[number]['machine'];

/** One, a few and many rows; the last is what the others are cut from. */
const ROWS = [1, 3, 8, 9, 40];
const ALL = 40;

function given(machine: Machine, shapes: Readonly<Record<string, readonly number[]>>): Buffers {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const random = rng(7).at(name);
      const size = shape.reduce((a, b) => a * b, 1);
      return [
        name,
        machine.put(
          Float32Array.from({ length: size }, (_, i) => random.normal(i)),
          { dtype: 'f32', shape },
        ),
      ];
    }),
  );
}

async function results(machine: Machine, loaded: Loaded, inputs: Buffers): Promise<Record<string, Uint8Array>> {
  const made = await loaded.run(inputs);
  const bytes = Object.entries(made).map(([name, buffer]) => {
    const { buffer: memory, byteOffset, byteLength } = machine.get(buffer);
    return [name, new Uint8Array(memory, byteOffset, byteLength).slice()] as const;
  });
  loaded.close();
  return Object.fromEntries(bytes);
}

describe.each(MACHINES)('with $isa', ({ machine }) => {
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
    const made = await results(machine, await machine.load(program), given(machine, shapes));
    const whole = made[`turned ${ALL}`]!;
    for (const [name, bytes] of Object.entries(made)) expect(bytes, name).toEqual(whole.subarray(0, bytes.length));
  });

  test.each([16, 8, 4] as const)('packed to %i bits', async (bits) => {
    const shapes = { w: [3, 100, 140] };
    const program = trace('pack', { w: { shape: shapes.w } }, ({ w }) => ({
      results: {
        lying: packWeights(w!, { bits, sections: 1, turned: true }),
        turned: packWeights(transpose(w!, [0, 2, 1]), { bits, sections: 1, turned: false }),
      },
    }));
    const { lying, turned } = await results(machine, await machine.load(program), given(machine, shapes));
    expect(lying).toEqual(turned);
  });
});
