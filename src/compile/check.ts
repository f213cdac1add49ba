/** Before a program reaches a machine: every output is what its op's signature says. Kernels trust shapes and never look again. */
import { EXIT, UserError } from '../base/index.ts';
import { bytesOf, checkAttrs, DTYPES, opNamed, sameShape, show, specsOf, type Spec } from '../ops/index.ts';
import type { Instruction, Program } from './program.ts';

/** Of one value: arrays beyond it are refused before anybody tries to allocate them. */
const MOST_BYTES = 1e13;
const MOST_RANK = 6;

/**
 * Throws UserError E_PROGRAM (exit 4) at the first instruction that its op would not have made or that reads what is not written yet,
 * and at results that name nothing or overwrite what does not fit.
 */
export function checkProgram(program: Program): void {
  try {
    checkParts(program);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UserError('E_PROGRAM', EXIT.damaged, { message: error.message, place: `program ${program.name}` });
  }
}

function checkParts({ arguments: args, code, results }: Program): void {
  const known = new Map<string, Spec>();
  const define = (id: string, spec: Spec): void => {
    require(!known.has(id), `${id} is written twice`);
    require(DTYPES.includes(spec.dtype), `${id} has no dtype that exists: ${String(spec.dtype)}`);
    require(spec.shape.length <= MOST_RANK &&
      spec.shape.every((d) => Number.isInteger(d) && d >= 0 && d < 2 ** 31), `${id} has the shape [${spec.shape}]`);
    require(bytesOf(spec) <= MOST_BYTES, `${id} is larger than any memory: ${show(spec)}`);
    known.set(id, spec);
  };
  for (const a of args) define(a.id, a);
  const named = new Map(args.map((a) => [a.name, a] as const));
  require(named.size === args.length, 'two arguments have the same name');
  for (const i of code) checkInstruction(i, known, define);
  for (const r of results) {
    const value = known.get(r.value);
    require(value, `result ${r.name} is never written`);
    const target = r.updates === undefined ? value : named.get(r.updates);
    require(target &&
      target.dtype === value.dtype &&
      bytesOf(target) === bytesOf(value), `result ${r.name} does not fit argument ${r.updates}`);
  }
  require(new Set(results.map((r) => r.name)).size === results.length, 'two results have the same name');
  const updated = results.flatMap((r) => r.updates ?? []);
  require(new Set(updated).size === updated.length, 'two results overwrite the same argument');
}

function checkInstruction(i: Instruction, known: ReadonlyMap<string, Spec>, define: (id: string, spec: Spec) => void): void {
  const op = opNamed(i.op);
  require(op, `there is no op ${i.op}`);
  require(i.in.length === op.inputs.length, `${i.op} has ${i.in.length} operands`);
  require(i.out.length === op.outputs.length && i.out.some((v) => v), `${i.op} has ${i.out.length} outputs`);
  const inputs = i.in.map((id) => {
    const spec = known.get(id);
    require(spec, `${i.op} reads ${id} before it is written`);
    return spec;
  });
  checkAttrs(op, i.attrs);
  specsOf(op, inputs, i.attrs).forEach((want, n) => {
    const out = i.out[n];
    if (!out) return;
    require(out.dtype === want.dtype &&
      sameShape(out.shape, want.shape), `output ${out.id} of ${i.op} is ${show(out)}, its signature says ${show(want)}`);
    define(out.id, want);
  });
}

function require(condition: unknown, message: string): asserts condition {
  if (!condition) throw new TypeError(message);
}
