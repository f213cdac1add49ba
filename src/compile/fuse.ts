/** Chains of elementwise instructions become one loop; what is only repeated or constant is read in place. */
import { opNamed, sizeOf, type DType } from '../ops/index.ts';
import type { FusedInstruction, FusedStep, Instruction, Program, Value } from './program.ts';

type Immediate = FusedInstruction['immediates'][number];

/** The same program with every elementwise instruction inside a fused one. */
export function fuse(program: Program): Program {
  const facts = survey(program);
  const groups = new Map<Instruction, Instruction[]>();
  const absorbed = new Set<Instruction>();
  for (const instruction of program.code) {
    if (!isElementwise(instruction)) {
      const group = roundedHere(instruction, facts) ? groups.get(facts.maker.get(instruction.in[0]!)!)! : undefined;
      if (group) {
        absorbed.add(group.at(-1)!);
        groups.set(instruction, group);
      }
      continue;
    }
    const group = [
      ...instruction.in.flatMap((id) => [...(absorbable(id, instruction, facts) ? groups.get(facts.maker.get(id)!)! : [])]),
      instruction,
    ];
    for (const id of instruction.in) if (absorbable(id, instruction, facts)) absorbed.add(facts.maker.get(id)!);
    groups.set(instruction, [...new Set(group)]);
  }
  const code = program.code.flatMap((i) => (absorbed.has(i) ? [] : groups.has(i) ? [{ ...join(groups.get(i)!, facts), out: i.out }] : [i]));
  return withoutDead({ ...program, code });
}

interface Facts {
  readonly maker: ReadonlyMap<string, Instruction>;
  readonly uses: ReadonlyMap<string, number>;
  readonly values: ReadonlyMap<string, Value>;
  readonly place: ReadonlyMap<Instruction, number>;
  /** Arguments that are overwritten: their readers must stay where they are. */
  readonly fragile: ReadonlySet<string>;
}
function survey(program: Program): Facts {
  const maker = new Map<string, Instruction>();
  const uses = new Map<string, number>();
  const values = new Map<string, Value>(program.arguments.map((a) => [a.id, a]));
  const use = (id: string): unknown => uses.set(id, (uses.get(id) ?? 0) + 1);
  for (const i of program.code) {
    i.in.forEach(use);
    for (const v of i.out)
      if (v) {
        maker.set(v.id, i);
        values.set(v.id, v);
      }
  }
  program.results.forEach((r) => use(r.value));
  const updated = new Set(program.results.flatMap((r) => r.updates ?? []));
  const place = new Map(program.code.map((i, n) => [i, n] as const));
  return { maker, uses, values, place, fragile: new Set(program.arguments.filter((a) => updated.has(a.name)).map((a) => a.id)) };
}

const isElementwise = (i: Instruction): boolean => opNamed(i.op)?.definition.elementwise === true;

/** Instructions between a value and its reader beyond which holding two operands instead of one value would cost memory for long. */
const NEAR = 32;

/** May the maker of `id` move into `reader`? It is elementwise, nobody else reads it, it reads nothing that changes, and moving it holds no more memory for long. */
function absorbable(id: string, reader: Instruction, { maker, uses, fragile, place, values }: Facts): boolean {
  const made = maker.get(id);
  if (!made || !isElementwise(made) || uses.get(id) !== 1) return false;
  const size = sizeOf(made.out[0]!.shape);
  const large = new Set(made.in.filter((x) => !splatOf(x, maker) && sizeOf(values.get(x)!.shape) === size));
  if (large.size > 1 && place.get(reader)! - place.get(made)! > NEAR) return false;
  return !made.in.some((x) => fragile.has(x)) && made.out[0]!.shape.length === reader.out[0]!.shape.length;
}

/** Is this a rounding to bf16 of what a chain makes for it alone? Then the loop rounds as it writes. */
const roundedHere = (i: Instruction, facts: Facts): boolean =>
  opNamed(i.op)?.definition.converts === true && i.out[0]!.dtype === 'bf16' && absorbable(i.in[0]!, i, facts);

/** One loop for instructions in order, the last of which makes the result. */
function join(group: readonly Instruction[], facts: Facts): FusedInstruction {
  const inside = new Set(group.flatMap((i) => i.out.map((v) => v!.id)));
  const outside = [...new Set(group.flatMap((i) => i.in).filter((id) => !inside.has(id)))].map((id) => ({
    id,
    source: sourceOf(id, facts),
  }));
  const operands = [...new Set(outside.flatMap(({ source }) => (typeof source === 'string' ? [source] : [])))];
  const immediates: Immediate[] = [];
  const register = new Map<string, number>();
  for (const { id, source } of outside) if (typeof source === 'string') register.set(id, operands.indexOf(source));
  for (const { id, source } of outside)
    if (typeof source !== 'string') {
      const same = immediates.findIndex((x) => x.value === source.value && x.dtype === source.dtype);
      register.set(id, operands.length + (same < 0 ? immediates.push(source) - 1 : same));
    }
  const base = operands.length + immediates.length;
  const steps: FusedStep[] = group.map((i, n) => {
    register.set(i.out[0]!.id, base + n);
    return { op: `${i.op}.${dtypeOf(i, facts)}`, in: i.in.map((id) => register.get(id)!) };
  });
  return { op: 'fused', in: operands, out: group.at(-1)!.out, attrs: {}, immediates, steps };
}

/** Where a fused loop reads a value: an immediate for a constant, the short form of a broadcast, the bf16 that was widened, else itself. */
function sourceOf(id: string, facts: Facts): string | Immediate {
  const made = facts.maker.get(id);
  const splat = splatOf(id, facts.maker);
  if (splat) return splat;
  const traits = made && opNamed(made.op)?.definition;
  const widens = traits?.converts && facts.values.get(id)!.dtype === 'f32';
  return (widens || traits?.broadcast) && !facts.fragile.has(made!.in[0]!) ? sourceOf(made!.in[0]!, facts) : id;
}
function splatOf(id: string, maker: Facts['maker']): Immediate | undefined {
  const made = maker.get(id);
  const traits = made && opNamed(made.op)?.definition;
  if (traits?.splat) return { value: made!.attrs['value'] as number, dtype: made!.out[0]!.dtype };
  return traits?.broadcast || traits?.view ? splatOf(made!.in[0]!, maker) : undefined;
}
/** The dtype that a block operation is chosen by: of the first operand, of the second for a choice. */
const dtypeOf = (i: Instruction, { values }: Facts): DType => values.get(i.in.length === 3 ? i.in[1]! : i.in[0]!)!.dtype;

/** Leaves out instructions none of whose outputs is read. */
export function withoutDead(program: Program): Program {
  const needed = new Set(program.results.map((r) => r.value));
  const code = program.code.toReversed().filter((i) => {
    const alive = i.out.some((v) => v && needed.has(v.id));
    if (alive) i.in.forEach((id) => needed.add(id));
    return alive;
  });
  return { ...program, code: code.toReversed() };
}
