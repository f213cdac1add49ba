/** A recorded run, in the addon and in WebAssembly. */
import { expect, test } from 'vitest';
import { add, cpuIsas, matmul, mul, openCpu, openWasm, softmax, trace, wasmIsas } from '../src/exec/index.ts';
import { withIsa } from './support.ts';

const MACHINES = [
  ...cpuIsas().map((isa) => ({ isa, opened: () => withIsa(isa, () => openCpu({ threads: 2 })) })),
  ...wasmIsas().map((isa) => ({ isa, opened: () => withIsa(isa, () => openWasm({ threads: 2 })) })),
];
test('each machine is here once', () => expect(new Set(MACHINES.map((m) => m.isa)).size).toBe(MACHINES.length));

test.each(MACHINES)(
  '$isa: each instruction once, in order, each thread on one thing at a time inside it; the next run is not recorded',
  async ({ opened }) => {
    const machine = opened();
    const program = trace('recorded', { x: { shape: [512, 256] }, w: { shape: [256, 256] } }, ({ x, w }) => ({
      results: { y: softmax(add(matmul(mul(matmul(x!, w!), 2), w!), 1)) },
    }));
    const loaded = await machine.load(program);
    const inputs = Object.fromEntries(
      program.arguments.map((a) => [a.name, machine.put(new Float32Array(a.shape[0]! * a.shape[1]!).fill(0.5), a)] as const),
    );
    const plain = machine.get((await loaded.run(inputs))['y']!);
    expect(loaded.timeline().spans).toEqual([]);
    loaded.record();
    expect(machine.get((await loaded.run(inputs))['y']!)).toEqual(plain);
    const { threads, instructions, spans } = loaded.timeline();
    expect(threads).toBe(2);
    const whole = spans.filter((s) => s.thread === -1);
    expect(whole.map((s) => s.instruction)).toEqual(instructions.map((_, n) => n));
    whole.forEach((s, n) => n > 0 && expect(s.begin_s).toBeGreaterThanOrEqual(whole[n - 1]!.end_s));
    for (const thread of [0, 1]) {
      const own = spans.filter((s) => s.thread === thread).toSorted((a, b) => a.begin_s - b.begin_s);
      own.forEach((s, n) => {
        const around = whole[s.instruction]!;
        expect(s.begin_s >= around.begin_s && s.end_s <= around.end_s && s.end_s >= s.begin_s).toBe(true);
        if (n > 0) expect(s.begin_s).toBeGreaterThanOrEqual(own[n - 1]!.end_s);
      });
    }
    expect(spans.some((s) => s.thread >= 0)).toBe(true); // who takes tasks is not promised
    await loaded.run(inputs);
    expect(loaded.timeline().spans).toEqual(spans);
    loaded.close();
    machine.close();
  },
);
