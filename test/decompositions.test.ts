/** Every decomposition says the same as the op that it decomposes. */
import { describe, expect, test } from 'vitest';
import { openRef, opNames, rulesOf } from '../src/exec/index.ts';
import { decomposedProgram, distance, evaluate, numbersOf, programOf } from './support.ts';

const ref = openRef('f64');

describe.each(opNames().filter((op) => rulesOf(op).decompose))('%s', (op) => {
  test.each(rulesOf(op).cases.map((c) => [c.about, c] as const))('%s', async (_, c) => {
    const program = programOf(op, c);
    const numbers = numbersOf(program, c);
    const [whole, parts] = [await evaluate(ref, program, numbers), await evaluate(ref, decomposedProgram(op, c), numbers)];
    for (const k of Object.keys(whole)) expect(distance(parts[k]!, whole[k]!), k).toBeLessThan(1e-9);
  });
});
