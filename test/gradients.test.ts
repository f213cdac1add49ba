/** Every differentiable op's gradient against central differences, in double precision on the reference executor. */
import { describe, expect, test } from 'vitest';
import { openRef, opNames, rulesOf } from '../src/exec/index.ts';
import { evaluate, gradientProgram, numbersOf, type Numbers } from './support.ts';

const ref = openRef('f64');
const STEP = 1e-5;
/** At most so many coordinates of each operand are moved. */
const PROBES = 40;

// Observations of these ops carry no gradient by design; only what trains is checked.
const OBSERVATIONS = new Set(['ce', 'logZ', 'dh', 'dw', 'lse']);

describe.each(opNames().filter((op) => rulesOf(op).vjp))('%s', (op) => {
  const cases = rulesOf(op).cases.filter(
    (c) => !c.kink && Object.values(c.inputs).some((x) => x.dtype === 'f32' && x.shape.every((d) => d > 0)),
  );
  test('has a case to check', () => expect(cases.length).toBeGreaterThan(0));
  test.each(cases.map((c) => [c.about, c] as const))('%s', async (_, c) => {
    const { program, wrt } = gradientProgram(op, c);
    const numbers: Record<string, Numbers> = Object.fromEntries(
      Object.entries(numbersOf(program, c)).map(([k, v]) => [k, v instanceof Int32Array ? v : Float64Array.from(v)]),
    );
    for (const k of Object.keys(numbers)) if (OBSERVATIONS.has(k.replace('weight.', ''))) numbers[k]!.fill(0);
    const run = (x: Record<string, Numbers>) => evaluate(ref, program, x as Record<string, Float32Array>);
    const exact = await run(numbers);
    for (const k of wrt) {
      const size = numbers[k]!.length;
      for (let p = 0; p < Math.min(size, PROBES); p++) {
        const at = Math.floor((p * size) / Math.min(size, PROBES));
        const moved = async (by: number) => {
          const copy = numbers[k]!.slice();
          copy[at]! += by;
          return (await run({ ...numbers, [k]: copy }))['loss']![0]!;
        };
        const slope = ((await moved(STEP)) - (await moved(-STEP))) / (2 * STEP);
        expect(Math.abs(exact[`d.${k}`]![at]! - slope) / (1 + Math.abs(slope)), `d ${k}[${at}]`).toBeLessThan(1e-5);
      }
    }
  });
});
