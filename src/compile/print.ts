/** Programs as text: one line an instruction, for golden files and for reading. */
import { show } from '../ops/index.ts';
import type { Plan } from './plan.ts';
import type { FusedInstruction, Instruction, Program, Value } from './program.ts';

/** With a plan each value says where it lives: at a byte of the arena, or in an argument's buffer. */
export function print(program: Program, plan?: Plan): string {
  const value = (v: Value | undefined): string => (v ? `${v.id} ${show(v)}${plan ? placeOf(v.id, plan, program) : ''}` : '_');
  const head = program.arguments.map((a) => `  ${a.id} = ${a.role} ${a.name} ${show(a)}`);
  const body = program.code.map((i) => `  ${i.out.map(value).join(', ')} = ${call(i)}`);
  const tail = program.results.map((r) => `  ${r.name} = ${r.value}${r.updates === undefined ? '' : ` over ${r.updates}`}`);
  return [`program ${program.name}`, ...head, 'code', ...body, 'results', ...tail, ...(plan ? summary(plan) : []), ''].join('\n');
}

function placeOf(id: string, { places }: Plan, program: Program): string {
  const place = places.get(id)!;
  return ` @${'offset' in place ? place.offset : program.arguments[place.argument]!.id}`;
}

const summary = ({ bytes, lowerBound, copies }: Plan): string[] => [
  'plan',
  `  arena ${bytes} bytes, ${lowerBound} alive at once: ${(bytes / lowerBound).toFixed(3)}`,
  ...copies.map(([from, to]) => `  copy ${from} to ${to}`),
];

function call(i: Instruction | FusedInstruction): string {
  const attrs = Object.entries(i.attrs).map(([k, v]) => `${k}=${typeof v === 'number' ? v : `[${v}]`}`);
  const steps =
    'steps' in i
      ? ` { ${i.steps.map((s, n) => `r${n + i.in.length + i.immediates.length}=${s.op}(${s.in.map((r) => register(i, r))})`).join(' ')} }`
      : '';
  return `${i.op}(${i.in.join(', ')})${attrs.length ? ` ${attrs.join(' ')}` : ''}${steps}`;
}
const register = (i: FusedInstruction, r: number): string =>
  r < i.in.length ? i.in[r]! : r < i.in.length + i.immediates.length ? String(i.immediates[r - i.in.length]!.value) : `r${r}`;
