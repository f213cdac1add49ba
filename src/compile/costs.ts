/** What the instructions of a program cost at least: floating-point operations and bytes of memory. */
import { bytesOf, contextOf, opNamed, rulesOf, specsOf, type Spec } from '../ops/index.ts';
import type { FusedInstruction, Instruction, Program } from './program.ts';

export interface Cost {
  /** A multiply-add counts two; elementwise work, reductions and moves are left out. */
  readonly flops: number;
  /** Bytes: every operand once, of a table only the rows asked for. */
  readonly read: number;
  /** Bytes: every result once. */
  readonly written: number;
}

/** Of each instruction, in order; fused programs too. */
export function costsOf(program: Program): readonly Cost[] {
  const values = new Map<string, Spec>(program.arguments.map((a) => [a.id, a]));
  return program.code.map((instruction) => {
    const operands = instruction.in.map((id) => values.get(id)!);
    instruction.out.forEach((v) => v && values.set(v.id, v));
    return { flops: flopsOfOne(instruction, operands), ...bytesMoved(instruction, values) };
  });
}

/** Of the whole program: its arguments are read and its results written; what lies between may stay in a cache. */
export function costOf(program: Program): Cost {
  const values = new Map<string, Spec>(
    [...program.arguments, ...program.code.flatMap((i) => i.out)].flatMap((v) => (v ? [[v.id, v]] : [])),
  );
  const reads = new Map<string, number>();
  for (const i of program.code) for (const id of i.in) reads.set(id, Math.max(reads.get(id) ?? 0, readOf(i, id, values)));
  return {
    flops: costsOf(program).reduce((sum, { flops }) => sum + flops, 0),
    read: program.arguments.reduce((n, { id }) => n + (reads.get(id) ?? 0), 0),
    written: program.results.reduce((n, { value }) => n + bytesOf(values.get(value)!), 0),
  };
}

function flopsOfOne({ op: name, attrs }: Instruction | FusedInstruction, operands: readonly Spec[]): number {
  const op = opNamed(name);
  if (!op) return 0; // fused: elementwise
  return rulesOf(name).flops?.(contextOf(op, operands, specsOf(op, operands, attrs), attrs)) ?? 0;
}

function bytesMoved(i: Instruction | FusedInstruction, values: ReadonlyMap<string, Spec>): Pick<Cost, 'read' | 'written'> {
  if (opNamed(i.op)?.definition.view) return { read: 0, written: 0 };
  return { read: [...new Set(i.in)].reduce((n, id) => n + readOf(i, id, values), 0), written: writtenBy(i) };
}

const writtenBy = ({ out }: Instruction): number => out.reduce((n, v) => n + (v ? bytesOf(v) : 0), 0);

/** Bytes of operand `id` that one instruction reads. */
function readOf(i: Instruction | FusedInstruction, id: string, values: ReadonlyMap<string, Spec>): number {
  const op = opNamed(i.op);
  const bytes = bytesOf(values.get(id)!);
  return op?.definition.picks?.includes(op.inputs[i.in.indexOf(id)]!) ? Math.min(bytes, writtenBy(i)) : bytes;
}
