/** Programs as text: one line an instruction, for golden files and for reading. */
import { show } from '../ops/index.ts';
import type { FusedInstruction, Instruction, Program } from './program.ts';

export function print(program: Program): string {
  const head = program.arguments.map((a) => `  ${a.id} = ${a.role} ${a.name} ${show(a)}`);
  const body = program.code.map((i) => `  ${i.out.map((v) => (v ? `${v.id} ${show(v)}` : '_')).join(', ')} = ${call(i)}`);
  const tail = program.results.map((r) => `  ${r.name} = ${r.value}${r.updates === undefined ? '' : ` over ${r.updates}`}`);
  return [`program ${program.name}`, ...head, 'code', ...body, 'results', ...tail, ''].join('\n');
}

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
