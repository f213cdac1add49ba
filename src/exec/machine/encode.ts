/** Planned program → the numbers that the native machine loads. The layout stands in native/vm.h. */
import { bytesOf, DTYPES, type FusedInstruction, opNamed, type Plan, type Program, type Value } from '../../compile/index.ts';

export interface Encoded {
  readonly words: Float64Array;
  /** Names that words refer to: kernels and block operations. */
  readonly names: readonly string[];
}

const MAGIC = 20260001;
const MAX_RANK = 6;

export function encode(program: Program, plan: Plan): Encoded {
  const names: string[] = [];
  const nameOf = (name: string): number => (names.includes(name) ? names.indexOf(name) : names.push(name) - 1);
  const values = [...program.arguments, ...program.code.flatMap((i) => i.out.flatMap((v) => v ?? []))];
  const indexOf = new Map(values.map((v, i) => [v.id, i]));
  // A view has nothing to do: its output is its operand's memory.
  const instructions = program.code.filter((i) => !opNamed(i.op)?.definition.view);
  const words = [
    MAGIC,
    plan.bytes,
    program.arguments.length,
    values.length,
    instructions.length,
    plan.copies.length,
    ...program.arguments.map((a) => bytesOf(a)),
    ...values.flatMap((v) => valueWords(v, plan)),
    ...instructions.flatMap((i) => {
      const attrs = 'steps' in i ? fusedWords(i, nameOf) : Object.keys(opNamed(i.op)!.definition.attrs ?? {}).flatMap((k) => i.attrs[k]!);
      const out = i.out.map((v) => (v ? indexOf.get(v.id)! : -1));
      return [nameOf(i.op), i.in.length, out.length, attrs.length, ...i.in.map((id) => indexOf.get(id)!), ...out, ...attrs];
    }),
    ...plan.copies.flatMap(([from, to]) => [indexOf.get(from)!, program.arguments.findIndex((a) => a.id === to)]),
  ];
  return { words: Float64Array.from(words as number[]), names };
}

function valueWords({ id, dtype, shape }: Value, plan: Plan): number[] {
  const place = plan.places.get(id)!;
  const where = 'argument' in place ? [1, place.argument] : [0, place.offset];
  return [DTYPES.indexOf(dtype), ...where, shape.length, ...Array.from({ length: MAX_RANK }, (_, d) => shape[d] ?? 1)];
}

function fusedWords({ immediates, steps }: FusedInstruction, nameOf: (name: string) => number): number[] {
  return [
    immediates.length,
    ...immediates.flatMap((x) => [x.value, DTYPES.indexOf(x.dtype)]),
    steps.length,
    ...steps.flatMap((s) => [nameOf(s.op), s.in.length, ...s.in]),
  ];
}
