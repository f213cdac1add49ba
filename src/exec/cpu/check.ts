/** Before a program reaches the machine: every output is what its op's signature says. Kernels trust shapes and never look again. */
import { invariant } from '../../base/index.ts';
import { opNamed, type Program, type Spec, specsOf } from '../../compile/index.ts';

const show = ({ dtype, shape }: Spec): string => `${dtype}[${shape}]`;

/** Throws Error (`internal:`) at the first instruction that its op would not have made, or that reads what is not written yet. */
export function checkProgram({ name, arguments: args, code, results }: Program): void {
  const known = new Map<string, Spec>(args.map((a) => [a.id, a]));
  for (const i of code) {
    const op = opNamed(i.op);
    invariant(op, `${name}: there is no op ${i.op}`);
    invariant(
      i.in.length === op.inputs.length && i.out.length === op.outputs.length,
      `${name}: ${i.op} has ${i.in.length} operands and ${i.out.length} outputs`,
    );
    const inputs = i.in.map((id) => {
      invariant(known.has(id), `${name}: ${i.op} reads ${id} before it is written`);
      return known.get(id)!;
    });
    specsOf(op, inputs, i.attrs).forEach((want, n) => {
      const out = i.out[n];
      if (!out) return;
      invariant(show(out) === show(want), `${name}: output ${out.id} of ${i.op} is ${show(out)}, its signature says ${show(want)}`);
      invariant(!known.has(out.id), `${name}: ${out.id} is written twice`);
      known.set(out.id, out);
    });
  }
  for (const r of results) invariant(known.has(r.value), `${name}: result ${r.name} is never written`);
}
