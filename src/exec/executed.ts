/** The instructions that a machine executes, as people read them: views are left out, fused ones named after their steps. */
import { type Cost, costsOf, opNamed, type Program } from '../compile/index.ts';

export interface Executed extends Cost {
  readonly op: string;
  /** Of its results. */
  readonly shape: string;
  /** What its products multiply. */
  readonly products: 'f32' | 'bf16';
}

/** In the order of execution; `program` is lowered and fused. */
export function executed(program: Program): readonly Executed[] {
  const costs = costsOf(program);
  const types = new Map(
    [...program.arguments, ...program.code.flatMap((i) => i.out)].flatMap((v) => (v ? [[v.id, v.dtype] as const] : [])),
  );
  return program.code.flatMap((i, n) => {
    if (opNamed(i.op)?.definition.view) return [];
    const op = 'steps' in i ? `fused ${i.steps.map((s) => s.op.split('.')[0]).join(' ')}` : i.op;
    const products = i.in.some((id) => types.get(id) === 'bf16') ? ('bf16' as const) : ('f32' as const);
    return [
      { op, products, shape: i.out.map((v) => (v ? `${v.dtype === 'f32' ? '' : v.dtype}[${v.shape}]` : '–')).join(' '), ...costs[n]! },
    ];
  });
}
