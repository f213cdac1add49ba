import { afterAll, expect, test } from 'vitest';
import { add, matmul, mul, softmax, trace } from '../../compile/index.ts';
import { openCpu, type CpuExecutor } from './index.ts';

function opened(): CpuExecutor | undefined {
  try {
    return openCpu({ threads: 2 });
  } catch (error) {
    console.log(`skipped: ${String(error)}`);
    return undefined;
  }
}
const cpu = opened();
afterAll(() => cpu?.close());

test.runIf(cpu)(
  'a recorded run: each instruction once, in order, each thread on one thing at a time inside it; the next run is not recorded',
  async () => {
    const program = trace('recorded', { x: { shape: [512, 256] }, w: { shape: [256, 256] } }, ({ x, w }) => ({
      results: { y: softmax(add(matmul(mul(matmul(x!, w!), 2), w!), 1)) },
    }));
    const loaded = await cpu!.load(program);
    const inputs = Object.fromEntries(
      program.arguments.map((a) => [a.name, cpu!.put(new Float32Array(a.shape[0]! * a.shape[1]!).fill(0.5), a)] as const),
    );
    const plain = cpu!.get((await loaded.run(inputs))['y']!);
    expect(loaded.timeline().spans).toEqual([]);
    loaded.record();
    expect(cpu!.get((await loaded.run(inputs))['y']!)).toEqual(plain);
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
    expect(spans.some((s) => s.thread === 0)).toBe(true);
    await loaded.run(inputs);
    expect(loaded.timeline().spans).toEqual(spans);
    loaded.close();
  },
);
