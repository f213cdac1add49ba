/** The elementwise primitives: unary, binary, comparison, select and conversion; one line each. */
import { op, rules, type Case, type Spec, type Tensor, type Tensors } from '../graph/index.ts';
import { f, i, shifted } from './cases.ts';
import { aligned } from './broadcast.ts';
import { scalar } from './constant.ts';

const same = (x: Readonly<Record<string, Spec>>, dtype = x['x']?.dtype ?? x['a']!.dtype) => {
  const [first, ...rest] = Object.values(x);
  for (const other of rest)
    if (other.shape.join() !== first!.shape.join())
      throw new TypeError(`operands of an elementwise op differ in shape: [${first!.shape}] and [${other.shape}]`);
  return { y: { dtype, shape: first!.shape } };
};

type Unary = { x: Tensor };
type Gradient1 = (dy: Tensor, x: Tensor, y: Tensor) => Tensor;

/** Declares an elementwise op of one operand: its value and its gradient. Used by `x.ts` files that add one. */
export function unary(
  name: string,
  value: (x: number) => number,
  gradient?: Gradient1,
  { integers = false, ...more }: { decompose?: (x: Tensor) => Tensor; cases?: readonly Case[]; integers?: boolean } = {},
): (x: Tensor) => Tensor {
  const made = op(
    name,
    { x: integers ? 'any[*]' : 'f[*]' },
    { y: integers ? 'any[*]' : 'f[*]' },
    { elementwise: true, infer: (x) => same(x) },
  );
  rules(made, {
    ...(gradient && { vjp: ({ x }: Unary, { y: dy }, { y }) => ({ x: gradient(dy!, x, y) }) }),
    ...(more.decompose && { decompose: ({ x }: Unary) => ({ y: more.decompose!(x) }) }),
    ref({ x }, { y }) {
      for (let n = 0; n < x.length; n++) y[n] = value(x[n]!);
    },
    cases: more.cases ?? [
      { about: 'odd sizes', inputs: { x: shifted(2, 3, 7, 37) } },
      { about: 'empty', inputs: { x: f(0, 4) } },
    ],
  });
  return (x) => made({ x }).y;
}

type Binary = { a: Tensor; b: Tensor };
type Gradient2 = (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => { a?: Tensor; b?: Tensor };
type Simplify2 = (x: Binary) => Tensor | undefined;
type Operand = Tensor | number;

function binary(
  name: string,
  value: (a: number, b: number, integer: boolean) => number,
  { gradient, simplify, dtype }: { gradient?: Gradient2; simplify?: Simplify2; dtype?: 'i32' } = {},
): (a: Operand, b: Operand) => Tensor {
  const made = op(
    name,
    { a: 'any[*]', b: 'any[*]' },
    { y: 'any[*]' },
    {
      elementwise: true,
      infer(x) {
        if (x['a']!.dtype !== x['b']!.dtype)
          throw new TypeError(`[${name}] operands differ in dtype: ${x['a']!.dtype} and ${x['b']!.dtype}`);
        return same(x, dtype ?? x['a']!.dtype);
      },
    },
  );
  rules(made, {
    ...(gradient && { vjp: ({ a, b }: Binary, { y: dy }, { y }) => gradient(dy!, a, b, y) as Partial<Tensors<{ a: string; b: string }>> }),
    ...(simplify && {
      simplify: (x: Binary) => {
        const y = simplify(x);
        return y && { y };
      },
    }),
    ref({ a, b }, { y }) {
      const integer = a instanceof Int32Array;
      for (let n = 0; n < a.length; n++) y[n] = value(a[n]!, b[n]!, integer);
    },
    cases: [
      { about: 'odd sizes', inputs: { a: f(5, 41), b: shifted(3, 5, 41) } },
      { about: 'integers', inputs: { a: i(9, 33), b: i(9, 33) } },
    ],
  });
  return (a, b) => {
    const [left, right] = operands(a, b);
    return made({ a: left, b: right }).y;
  };
}

/** Numbers become constants of the other operand's dtype, and shapes are aligned as in numpy. */
function operands(a: Operand, b: Operand): [Tensor, Tensor] {
  const dtype = typeof a === 'number' ? (b as Tensor).dtype : a.dtype;
  const tensor = (x: Operand): Tensor => (typeof x === 'number' ? scalar(x, dtype) : x);
  return aligned(tensor(a), tensor(b));
}

/** The value of a constant splat, wherever it was broadcast to. */
const splat = ({ node }: Tensor): number | undefined => {
  if (!node) return undefined;
  if (node.op.definition.broadcast || node.op.definition.view) return splat(node.inputs[0]!);
  return node.op.definition.splat ? (node.attrs['value'] as number) : undefined;
};
const identity = (x: Tensor, other: Tensor): Tensor | undefined => (x.shape.length === other.shape.length ? x : undefined);

export const neg = unary(
  'neg',
  (x) => -x,
  (dy) => neg(dy),
  { integers: true },
);
export const exp = unary('exp', Math.exp, (dy, _, y) => mul(dy, y));
export const log = unary('log', Math.log, (dy, x) => div(dy, x), { cases: [{ about: 'positive', inputs: { x: shifted(9, 3, 37) } }] });
export const sqrt = unary('sqrt', Math.sqrt, (dy, _, y) => div(mul(dy, 0.5), y), {
  cases: [{ about: 'positive', inputs: { x: shifted(9, 3, 37) } }],
});
export const rsqrt = unary(
  'rsqrt',
  (x) => 1 / Math.sqrt(x),
  (dy, _, y) => mul(mul(dy, -0.5), mul(y, mul(y, y))),
  {
    cases: [{ about: 'positive', inputs: { x: shifted(9, 3, 37) } }],
  },
);
export const sigmoid = unary(
  'sigmoid',
  (x) => 1 / (1 + Math.exp(-x)),
  (dy, _, y) => mul(dy, mul(y, sub(1, y))),
);
export const tanh = unary('tanh', Math.tanh, (dy, _, y) => mul(dy, sub(1, mul(y, y))));
export const abs = unary('abs', Math.abs, (dy, x) => select(less(x, 0), neg(dy), dy), {
  cases: [{ about: 'both signs', inputs: { x: f(3, 37) } }],
  integers: true,
});
export const floor = unary('floor', Math.floor);

export const add = binary('add', (a, b, int) => (int ? (a + b) | 0 : a + b), {
  gradient: (dy) => ({ a: dy, b: dy }),
  simplify: ({ a, b }) => (splat(b) === 0 ? identity(a, b) : splat(a) === 0 ? identity(b, a) : undefined),
});
export const sub = binary('sub', (a, b, int) => (int ? (a - b) | 0 : a - b), {
  gradient: (dy) => ({ a: dy, b: neg(dy) }),
  simplify: ({ a, b }) => (splat(b) === 0 ? identity(a, b) : undefined),
});
export const mul = binary('mul', (a, b, int) => (int ? Math.imul(a, b) : a * b), {
  gradient: (dy, a, b) => ({ a: mul(dy, b), b: mul(dy, a) }),
  simplify: ({ a, b }) => (splat(b) === 1 ? identity(a, b) : splat(a) === 1 ? identity(b, a) : undefined),
});
/** Integers truncate, and division by integer zero is 0. */
export const div = binary('div', (a, b, int) => (int ? (b === 0 ? 0 : (a / b) | 0) : a / b), {
  gradient: (dy, _, b, y) => ({ a: div(dy, b), b: neg(div(mul(dy, y), b)) }),
  simplify: ({ a, b }) => (splat(b) === 1 ? identity(a, b) : undefined),
});
/** NaN wins. Where both are equal the gradient goes to `a`. */
export const max = binary('max', (a, b) => Math.max(a, b), {
  gradient: (dy, a, b) => ({ a: select(less(a, b), zeros(dy), dy), b: select(less(a, b), dy, zeros(dy)) }),
});
export const min = binary('min', (a, b) => Math.min(a, b), {
  gradient: (dy, a, b) => ({ a: select(less(b, a), zeros(dy), dy), b: select(less(b, a), dy, zeros(dy)) }),
});
export const less = binary('less', (a, b) => (a < b ? 1 : 0), { dtype: 'i32' });
export const lessEqual = binary('less_equal', (a, b) => (a <= b ? 1 : 0), { dtype: 'i32' });
export const equal = binary('equal', (a, b) => (a === b ? 1 : 0), { dtype: 'i32' });

const zeros = (like: Tensor): Tensor => aligned(scalar(0, like.dtype), like)[0];

const selectOp = op(
  'select',
  { cond: 'i[*]', a: 'any[*]', b: 'any[*]' },
  { y: 'any[*]' },
  {
    elementwise: true,
    infer(x) {
      if (x['a']!.dtype !== x['b']!.dtype) throw new TypeError(`[select] a and b differ in dtype: ${x['a']!.dtype} and ${x['b']!.dtype}`);
      return same(x, x['a']!.dtype);
    },
  },
);
rules(selectOp, {
  vjp: ({ cond }, { y: dy }) => ({ a: select(cond, dy!, zeros(dy!)), b: select(cond, zeros(dy!), dy!) }),
  ref({ cond, a, b }, { y }) {
    for (let n = 0; n < y.length; n++) y[n] = cond[n] ? a[n]! : b[n]!;
  },
  cases: [{ about: 'odd sizes', inputs: { cond: i(2, 3, 19), a: f(3, 19), b: f(3, 19) } }],
});
/** cond ≠ 0 ? a : b, elementwise; shapes are aligned. */
export const select = (cond: Tensor, a: Tensor, b: Tensor): Tensor => {
  const [a1, b1] = aligned(a, b);
  const [c, a2] = aligned(cond, a1);
  return selectOp({ cond: c, a: a2, b: aligned(cond, b1)[1] }).y;
};

const conversion = (name: string, dtype: 'f32' | 'i32', value: (x: number) => number) => {
  const made = op(name, { x: 'any[*]' }, { y: 'any[*]' }, { elementwise: true, infer: (x) => same(x, dtype) });
  rules(made, {
    ref({ x }, { y }) {
      for (let n = 0; n < x.length; n++) y[n] = value(x[n]!);
    },
    cases: [
      { about: 'from f32', inputs: { x: f(3, 19) } },
      { about: 'from i32', inputs: { x: i(100, 37) } },
    ],
  });
  return (x: Tensor): Tensor => (x.dtype === dtype ? x : made({ x }).y);
};
export const toF32 = conversion('to_f32', 'f32', (x) => x);
/** Truncates, saturates, NaN becomes 0. */
export const toI32 = conversion('to_i32', 'i32', (x) => (Number.isNaN(x) ? 0 : Math.trunc(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, x)))));
