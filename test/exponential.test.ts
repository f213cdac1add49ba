/** The vectorised exponential over all of f32, on every instruction set: the engine's softmax, sigmoid and tanh stand on it. */
import { describe, expect, test } from 'vitest';
import { exp, trace } from '../src/exec/index.ts';
import { executors } from './support.ts';

/** Every so-manieth float, by its bits: a prime, so that all mantissas come up. */
const STEP = 4099;
const bits = Uint32Array.from({ length: Math.floor(2 ** 32 / STEP) }, (_, i) => i * STEP);
const x = new Float32Array(bits.buffer);
const SMALLEST = 2 ** -126;

/** |y − want| in units of the last place of the f32 nearest to want. */
const ulps = (y: number, want: number): number => Math.abs(y - want) / 2 ** (Math.floor(Math.log2(Math.fround(want))) - 23);

test('the reference of this test is right where it counts', () => {
  expect(ulps(1, Math.exp(0))).toBe(0);
  expect(ulps(1 + 2 ** -23, 1)).toBe(1);
});

describe.each(executors())('%s', (_, open) => {
  test('exp is within 2 ulp, and right at its ends', async () => {
    const executor = open();
    const program = trace('exp', { x: { shape: [x.length] } }, (args) => ({ results: { y: exp(args['x']!) } }));
    const loaded = await executor.load(program);
    const { y } = await loaded.run({ x: executor.put(x, { dtype: 'f32', shape: [x.length] }) });
    const got = new Float32Array(executor.get(y!).slice().buffer);
    let [worst, wrong] = [0, 0];
    x.forEach((value, i) => {
      const [want, is] = [Math.exp(value), got[i]!];
      if (Number.isNaN(value)) wrong += Number(!Number.isNaN(is));
      else if (Math.fround(want) === Infinity) wrong += Number(is !== Infinity);
      else if (want < SMALLEST) wrong += Number(is > 2 * SMALLEST);
      else worst = Math.max(worst, ulps(is, want));
    });
    expect(wrong).toBe(0);
    expect(worst).toBeGreaterThan(0.4);
    expect(worst).toBeLessThan(2);
    executor.close();
  });
});
