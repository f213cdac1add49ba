/** Every executor computes every case of every op as the reference does. */
import { describe, expect, test } from 'vitest';
import { type Case, isFloat, openRef, opNamed, opNames, type Program, rulesOf } from '../src/exec/index.ts';
import { distance, evaluate, executors, gradientProgram, inPlaceProgram, numbersOf, programOf } from './support.ts';

const ref = openRef();

test('every op has a case, or is checked through the op that it is the gradient of', () => {
  const without = opNames().filter((op) => rulesOf(op).cases.length === 0);
  expect(without).toEqual(['attention_grad']);
});

describe.each(executors())('%s', (_, open) => {
  const executor = open();
  for (const op of opNames())
    test.each(rulesOf(op).cases.map((c) => [c.about, c] as const))(`${op}: %s`, async (__, c) => {
      const program = programOf(op, c);
      const numbers = numbersOf(program, c);
      const [got, want] = [await evaluate(executor, program, numbers), await evaluate(ref, program, numbers)];
      for (const k of Object.keys(want)) expect(distance(got[k]!, want[k]!), k).toBeLessThan(allowed(program, k, c.tolerance ?? 1e-5));
    });

  for (const op of opNames().filter((name) => opNamed(name)!.definition.inPlace))
    test.each(rulesOf(op).cases.map((c) => [c.about, c] as const))(`${op} in place has the same bytes: %s`, async (__, c) => {
      const numbers = numbersOf(programOf(op, c), c);
      expect(await evaluate(executor, inPlaceProgram(op, c), numbers)).toEqual(await evaluate(executor, programOf(op, c), numbers));
    });

  for (const op of opNames().filter((name) => rulesOf(name).vjp))
    test.each(differentiable(op))(`gradient of ${op}: %s`, async (__, c) => {
      const { program } = gradientProgram(op, c);
      const numbers = numbersOf(program, c);
      const [got, want] = [await evaluate(executor, program, numbers), await evaluate(ref, program, numbers)];
      for (const k of Object.keys(want))
        expect(distance(got[k]!, want[k]!), k).toBeLessThan(allowed(program, k, 10 * (c.tolerance ?? 1e-5)));
    });
});

/** A bf16 result may be rounded the other way. */
function allowed({ arguments: given, code, results }: Program, name: string, tolerance: number): number {
  const id = results.find((r) => r.name === name)!.value;
  const value = [...given, ...code.flatMap((i) => i.out)].find((v) => v?.id === id)!;
  return value.dtype === 'bf16' ? Math.max(tolerance, 2 ** -8) : tolerance;
}

function differentiable(op: string): [string, Case][] {
  return rulesOf(op)
    .cases.filter((c) => Object.values(c.inputs).some((x) => isFloat(x.dtype)))
    .map((c) => [c.about, c]);
}
