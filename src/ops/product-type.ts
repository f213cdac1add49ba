/** What a product multiplies: f32, or bf16 as soon as one operand is bf16; sums are f32 either way. */
import { bf16FromF32, f32FromBf16 } from '../base/index.ts';
import type { DType, Numbers, Spec } from '../graph/index.ts';

export type FloatType = Extract<DType, 'f32' | 'bf16'>;

/** The type of a result. Throws TypeError for a bf16 result of f32 operands: who wants bf16 products says so by an operand. */
export function productType(op: string, operands: Readonly<Record<string, Spec>>, bf16: number): FloatType {
  if (bf16 && !Object.values(operands).some((x) => x.dtype === 'bf16'))
    throw new TypeError(`[${op}] bf16: expected a bf16 operand for a bf16 result, got f32 ones`);
  return bf16 ? 'bf16' : 'f32';
}

/** The operands as a reference rule multiplies them. In double precision (gradient checks) nothing is rounded. */
export function multiplied<K extends string>(
  operands: Readonly<Record<K, Numbers>>,
  dtypes: Readonly<Record<NoInfer<K>, DType>>,
): Readonly<Record<K, Numbers>> {
  const names = Object.keys(operands) as K[];
  if (!names.some((k) => dtypes[k] === 'bf16')) return operands;
  const rounded = (x: Numbers): Numbers => (x instanceof Float32Array ? f32FromBf16(bf16FromF32(x)) : x);
  return Object.fromEntries(names.map((k) => [k, rounded(operands[k])])) as Record<K, Numbers>;
}
