/** Floating-point operations of a program, as its ops count them. */
import { contextOf, opNamed, rulesOf, specsOf, type Spec } from '../ops/index.ts';
import type { Program } from './program.ts';

/** A multiply-add counts two; elementwise work, reductions and moves are left out. */
export function flopsOf(program: Program): number {
  const values = new Map<string, Spec>(program.arguments.map((a) => [a.id, a]));
  let total = 0;
  for (const { op: name, in: ids, out, attrs } of program.code) {
    const op = opNamed(name)!;
    const operands = ids.map((id) => values.get(id)!);
    total += rulesOf(name).flops?.(contextOf(op, operands, specsOf(op, operands, attrs), attrs)) ?? 0;
    out.forEach((v) => v && values.set(v.id, v));
  }
  return total;
}
