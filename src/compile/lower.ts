/** Ops that an executor has no kernel for are replaced by their decomposition into ops that it has. */
import { apply, argument, opNamed, rulesOf, type Signature, type Tensor, type Tensors } from '../ops/index.ts';
import { emit, type Root } from './emit.ts';
import type { Instruction, Program } from './program.ts';
import { simplify } from './simplify.ts';

/** The same program in ops for which `known` holds. Throws Error when an op is unknown and has no decomposition. */
export function lower(program: Program, known: (op: string) => boolean): Program {
  if (program.code.every((i) => known(i.op))) return program;
  const args = program.arguments.map((a) => argument(a.name, a.shape, a));
  const values = new Map<string, Tensor>(program.arguments.map((a, i) => [a.id, args[i]!]));
  for (const i of program.code) {
    const outputs = rebuilt(
      i,
      i.in.map((id) => values.get(id)!),
      known,
    );
    i.out.forEach((v, n) => v && values.set(v.id, outputs[n]!));
  }
  const roots: Root[] = program.results.map((r) => ({ ...r, tensor: values.get(r.value)! }));
  const simple = simplify(roots.map((r) => r.tensor));
  return lower(
    emit(
      program.name,
      args,
      roots.map((r, n) => ({ ...r, tensor: simple[n]! })),
    ),
    known,
  );
}

function rebuilt(i: Instruction, inputs: readonly Tensor[], known: (op: string) => boolean): readonly Tensor[] {
  const op = opNamed(i.op)!;
  if (known(i.op)) return apply(op, inputs, i.attrs);
  const rule = rulesOf(i.op).decompose;
  if (!rule) throw new Error(`internal: this executor has no kernel for ${i.op}, and ${i.op} has no decomposition`);
  const made = rule(Object.fromEntries(op.inputs.map((k, n) => [k, inputs[n]!])) as Tensors<Signature>, i.attrs);
  return op.outputs.map((k) => made[k]!);
}
