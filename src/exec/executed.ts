/** The instructions that a machine executes, as people read them: views are left out, fused ones named after their steps. */
import { type Cost, costsOf, opNamed, type Program } from '../compile/index.ts';

export interface Executed extends Cost {
  readonly op: string;
  /** Of its results. */
  readonly shape: string;
}

/** In the order of execution; `program` is lowered and fused. */
export function executed(program: Program): readonly Executed[] {
  const costs = costsOf(program);
  return program.code.flatMap((i, n) => {
    if (opNamed(i.op)?.definition.view) return [];
    const op = 'steps' in i ? `fused ${i.steps.map((s) => s.op.split('.')[0]).join(' ')}` : i.op;
    return [{ op, shape: i.out.map((v) => (v ? `${v.dtype === 'f32' ? '' : v.dtype}[${v.shape}]` : '–')).join(' '), ...costs[n]! }];
  });
}
