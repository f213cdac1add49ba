/**
 * Signatures such as `f[T,D]`: dtypes and letters that bind to the shapes that arrive. `[*]` accepts any shape.
 * `f` f32 · `i` i32 · `h` bf16 · `q` i8 · `float` f32 or bf16 · `any` f32 or i32 · `all` whatever there is.
 */
import { type DType, DTYPES, type Shape, type Tensor } from './tensor.ts';

/** Name of an operand → its signature. The order is the order of the operands. */
export type Signature = Readonly<Record<string, string>>;

type Split<D extends string> = D extends `${infer A},${infer R}` ? A | Split<R> : D;
type Letters<S extends string> = S extends `${string}[${infer D}]` ? Exclude<Split<D>, '*' | ''> : never;
/** The sizes that the letters of a signature stand for, typed by those letters. */
export type Dims<I extends Signature> = { readonly [L in Letters<I[keyof I]>]: number };
export type Tensors<S extends Signature> = { readonly [K in keyof S]: Tensor };

interface Operand {
  /** The first is that of an output which says no more. */
  readonly dtypes: readonly DType[];
  /** undefined: any shape. */
  readonly letters: readonly string[] | undefined;
}

const DTYPES_OF: Readonly<Record<string, readonly DType[]>> = {
  f: ['f32'],
  i: ['i32'],
  h: ['bf16'],
  q: ['i8'],
  float: ['f32', 'bf16'],
  any: ['f32', 'i32'],
  all: DTYPES,
};

export function parseOperand(text: string): Operand {
  const open = text.indexOf('[');
  const inside = text.slice(open + 1, -1);
  return { dtypes: DTYPES_OF[text.slice(0, open)]!, letters: inside === '*' ? undefined : inside === '' ? [] : inside.split(',') };
}

/** Binds letters to sizes, or says which operand disagrees, with whom and about what. Throws TypeError. */
export function bind(op: string, signature: Signature, got: Readonly<Record<string, Tensor>>): Record<string, number> {
  const dims: Record<string, number> = {};
  const from: Record<string, string> = {};
  for (const [name, text] of Object.entries(signature)) {
    const tensor = got[name];
    if (!tensor) throw new TypeError(`[${op}] ${name}: missing, expected ${text}`);
    const { dtypes, letters } = parseOperand(text);
    if (!dtypes.includes(tensor.dtype)) throw new TypeError(`[${op}] ${name}: expected ${text}, got ${show(tensor)}`);
    if (!letters) continue;
    if (letters.length !== tensor.shape.length) throw new TypeError(`[${op}] ${name}: expected ${text}, got ${show(tensor)}`);
    letters.forEach((letter, i) => {
      const size = tensor.shape[i]!;
      if (letter in dims && dims[letter] !== size)
        throw new TypeError(`[${op}] ${name}: expected ${text} with ${letter}=${dims[letter]} (from ${from[letter]}), got ${show(tensor)}`);
      dims[letter] ??= size;
      from[letter] ??= name;
    });
  }
  return dims;
}

/** The shape and dtype of an output whose letters are all bound. */
export function shapeOf(text: string, dims: Readonly<Record<string, number>>): { dtype: DType; shape: Shape } {
  const { dtypes, letters } = parseOperand(text);
  return { dtype: dtypes[0]!, shape: (letters ?? []).map((letter) => dims[letter]!) };
}

export const show = ({ dtype, shape }: { dtype: DType; shape: Shape }): string => `${dtype}[${shape.join(',')}]`;
