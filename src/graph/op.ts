/** Ops: a name, a typed signature, and rules that say what the op means, costs and how it is differentiated. */
import { bind, type Dims, shapeOf, type Signature, type Tensors } from './signature.ts';
import { scopePath } from './tap.ts';
import { type Attrs, type DType, type Node, sameShape, type Shape, type Tensor } from './tensor.ts';

/** Memory that a reference rule reads and writes: Float32Array, Float64Array (gradient checks) or Int32Array. */
export interface Numbers {
  [index: number]: number;
  readonly length: number;
  fill(value: number, start?: number, end?: number): unknown;
}
type Arrays<S extends Signature> = { readonly [K in keyof S]: Numbers };
type Shapes<S extends Signature> = { readonly [K in keyof S]: Shape };
export type Spec = { readonly dtype: DType; readonly shape: Shape };

/** `flag` 0 or 1 · `whole` 0, 1, … · `count` 1, 2, … · `number` anything; `flags` and `wholes` are lists with one entry per axis of some shape. */
export type AttrKind = 'flag' | 'whole' | 'count' | 'number' | 'flags' | 'wholes';

export type AttrKinds<A> = { readonly [K in keyof A]: AttrKind };

/** How an executor may treat an op; passes read these properties and never a name. */
export interface Traits {
  /** Every output element is this function of the operands' elements at the same place (all operands have the output's shape). */
  readonly elementwise?: boolean;
  /** The output is the first operand's memory under another shape. */
  readonly view?: boolean;
  /** The output repeats the operand along axes (attrs `shape`): a fused loop reads it with stride 0. */
  readonly broadcast?: boolean;
  /** Operands of which only as many bytes are read as the outputs hold: tables whose rows are asked for. */
  readonly picks?: readonly string[];
  /** The output is the operand as f32 or bf16: a fused loop widens what it reads and rounds what it writes. */
  readonly converts?: boolean;
  /** The output is filled with attribute `value`. */
  readonly splat?: boolean;
  /** Output name → operand whose memory it may overwrite; the executor does so when the operand is not needed afterwards. */
  readonly updates?: Readonly<Record<string, string>>;
  /**
   * Output name → operand of the same size whose memory it may take over once nobody else reads that: its kernel reads every number
   * before it writes there. Never an argument's memory, other than `updates`.
   */
  readonly inPlace?: Readonly<Record<string, string>>;
}

/** A generated operand of a conformance case: values are normal unless a list or a range of integers is given. */
export interface Fill {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values?: readonly number[];
  readonly below?: number;
  /** Lifts normal values, for instance away from zero. */
  readonly shift?: number;
}
/** One conformance case: every executor computes it and is compared to `ref`; gradients are checked in f64. */
export interface Case {
  readonly about: string;
  readonly inputs: Readonly<Record<string, Fill>>;
  readonly attrs?: Attrs;
  /** Largest |difference| ÷ (1 + |value|) allowed between f32 executors. Default 1e-5. */
  readonly tolerance?: number;
  /** The op has no derivative at these values (ties): gradients are not checked. */
  readonly kink?: boolean;
}

export interface RefContext<I extends Signature, O extends Signature, A> {
  readonly dims: Dims<I>;
  readonly attrs: A;
  readonly shapes: Shapes<I> & Shapes<O>;
  readonly dtypes: { readonly [K in keyof I | keyof O]: DType };
}

export interface Rules<I extends Signature, O extends Signature, A> {
  /** Gradients of the operands from those of the outputs; an output nobody needed has none. Absent: no gradient flows. */
  vjp?(x: Tensors<I>, dy: Partial<Tensors<O>>, y: Tensors<O>, attrs: A): Partial<Tensors<I>>;
  /** Floating-point operations of one application with all outputs; a multiply-add counts two. Absent: not worth counting. */
  flops?(context: RefContext<I, O, A>): number;
  /** Defines the op: short, plain loops. Outputs arrive filled with zeros. */
  ref(x: Arrays<I>, y: Arrays<O>, context: RefContext<I, O, A>): void;
  /** The same in terms of smaller ops: what an executor without a kernel runs. */
  decompose?(x: Tensors<I>, attrs: A): Tensors<O>;
  /** An equal, cheaper form of one application, if there is one. */
  simplify?(x: Tensors<I>, attrs: A): Tensors<O> | undefined;
  readonly cases: readonly Case[];
}

export interface Definition<A> extends Traits {
  /** What each attribute may be, in the order in which kernels receive them. */
  readonly attrs?: AttrKinds<A>;
  /** Shapes of the outputs where letters cannot say them. Throws TypeError on a bad operand. */
  infer?(x: Readonly<Record<string, Spec>>, attrs: A): Readonly<Record<string, Spec>>;
}

export interface Op<I extends Signature, O extends Signature, A = Attrs> {
  (inputs: Tensors<I>, ...attrs: keyof A extends never ? [] : [A]): Tensors<O>;
  readonly op: string;
  readonly inputs: readonly (keyof I & string)[];
  readonly outputs: readonly (keyof O & string)[];
  readonly signature: I;
  readonly results: O;
  readonly definition: Definition<A>;
}

/** An op with its types forgotten: what passes and executors see. */
export interface AnyOp {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly signature: Signature;
  readonly results: Signature;
  readonly definition: Definition<never>;
}
export type AnyRules = Rules<Signature, Signature, Attrs>;

// Nodes count up in order of creation: passes keep forward before backward by it, and nothing else depends on it.
let made = 0;
const REGISTRY = new Map<string, { readonly op: AnyOp; rules?: AnyRules }>();

/** Declares an op. Declare first, give the rules second: nesting them is a circular inference in TypeScript. */
export function op<const I extends Signature, const O extends Signature, A = Record<never, never>>(
  name: string,
  inputs: I,
  outputs: O,
  definition: Definition<A> = {},
): Op<I, O, A> {
  const call = (operands: Tensors<I>, attrs: A = {} as A): Tensors<O> => {
    const dims = bind(name, inputs, operands);
    const specs = definition.infer?.(operands, attrs);
    const spec = (k: string): Spec => specs?.[k] ?? shapeOf(outputs[k]!, dims);
    const node = {
      serial: made++,
      scope: scopePath(),
      op: self as unknown as AnyOp,
      inputs: self.inputs.map((k) => operands[k]!),
      attrs: attrs as Attrs,
      outputs: [] as Tensor[],
    };
    node.outputs = self.outputs.map((k, index) => ({ dtype: spec(k).dtype, shape: spec(k).shape, node: node as Node, index }));
    return Object.fromEntries(self.outputs.map((k, i) => [k, node.outputs[i]])) as Tensors<O>;
  };
  const self = Object.assign(call, {
    op: name,
    inputs: Object.keys(inputs),
    outputs: Object.keys(outputs),
    signature: inputs,
    results: outputs,
    definition,
  }) as unknown as Op<I, O, A>;
  if (REGISTRY.has(name)) throw new Error(`internal: op ${name} declared twice`);
  REGISTRY.set(name, { op: self as unknown as AnyOp });
  return self;
}

export function rules<I extends Signature, O extends Signature, A>(of: Op<I, O, A>, given: Rules<I, O, A>): void {
  REGISTRY.get(of.op)!.rules = given as unknown as AnyRules;
}

export function rulesOf(name: string): AnyRules {
  const found = REGISTRY.get(name)?.rules;
  if (!found) throw new Error(`internal: op ${name} has no rules`);
  return found;
}

export const opNamed = (name: string): AnyOp | undefined => REGISTRY.get(name)?.op;
export const opNames = (): string[] => [...REGISTRY.keys()];

/** Applies an op by its definition, operands in order: how passes rebuild nodes. */
export function apply(of: AnyOp, inputs: readonly Tensor[], attrs: Attrs): readonly Tensor[] {
  const named = Object.fromEntries(of.inputs.map((k, i) => [k, inputs[i]!]));
  const made = (of as unknown as Op<Signature, Signature, Attrs>)(named, attrs);
  return of.outputs.map((k) => made[k]!);
}

/** The letters of an instruction's signature bound to its operands' shapes. */
export const dimsOf = (of: AnyOp, inputs: readonly Spec[]): Record<string, number> =>
  bind(of.op, of.signature, Object.fromEntries(of.inputs.map((k, i) => [k, { ...inputs[i]!, index: 0 }])));

/** Throws TypeError unless these operands have one shape. */
export function requireAlike(name: string, x: Readonly<Record<string, Spec>>, operands: readonly string[]): void {
  const [first, ...others] = operands;
  for (const k of others)
    if (!sameShape(x[k]!.shape, x[first!]!.shape))
      throw new TypeError(`[${name}] ${k}: expected the shape [${x[first!]!.shape}] of ${first}, got [${x[k]!.shape}]`);
}

/** Throws TypeError unless `list` has an entry for each axis of `shape`, or the number `list` is one of its axes. */
export function requireAxes(name: string, shape: Shape, list: number | readonly number[]): void {
  if (typeof list === 'number' ? list >= shape.length : list.length !== shape.length)
    throw new TypeError(`[${name}] ${typeof list === 'number' ? 'axis' : 'axes'}: [${list}] does not go with the shape [${shape}]`);
}

const MOST = 2 ** 31 - 1;
const whole = (x: unknown, least: number, most = MOST): boolean => Number.isInteger(x) && (x as number) >= least && (x as number) <= most;
const ALLOWED: Readonly<Record<AttrKind, (x: unknown) => boolean>> = {
  flag: (x) => whole(x, 0, 1),
  whole: (x) => whole(x, 0),
  count: (x) => whole(x, 1),
  number: (x) => typeof x === 'number',
  flags: (x) => Array.isArray(x) && x.every((n) => whole(n, 0, 1)),
  wholes: (x) => Array.isArray(x) && x.every((n) => whole(n, 0)),
};

/** Throws TypeError when an attribute is missing, unknown, or not of its kind: programs may come from a file. */
export function checkAttrs({ op: name, definition }: AnyOp, attrs: Readonly<Record<string, unknown>>): void {
  const kinds: Readonly<Record<string, AttrKind>> = definition.attrs ?? {};
  for (const k of Object.keys(attrs)) if (!Object.hasOwn(kinds, k)) throw new TypeError(`[${name}] ${k}: no such attribute`);
  for (const [k, kind] of Object.entries(kinds))
    if (!ALLOWED[kind](attrs[k])) throw new TypeError(`[${name}] ${k}: expected ${kind}, got ${JSON.stringify(attrs[k])}`);
}

/** What rules are told of one application: operands and results in the order of the signature. */
export function contextOf(of: AnyOp, operands: readonly Spec[], results: readonly Spec[], attrs: Attrs) {
  const all = [...of.inputs.map((k, i) => [k, operands[i]!] as const), ...of.outputs.map((k, i) => [k, results[i]!] as const)];
  return {
    dims: dimsOf(of, operands),
    attrs,
    shapes: Object.fromEntries(all.map(([k, { shape }]) => [k, shape])),
    dtypes: Object.fromEntries(all.map(([k, { dtype }]) => [k, dtype])),
  };
}

/** What an application would return: shapes and dtypes of all outputs, in order. */
export function specsOf(of: AnyOp, inputs: readonly Spec[], attrs: Attrs): readonly Spec[] {
  const named = Object.fromEntries(of.inputs.map((k, i) => [k, inputs[i]!]));
  const specs = of.definition.infer?.(named, attrs as never);
  const dims = dimsOf(of, inputs);
  return of.outputs.map((k) => specs?.[k] ?? shapeOf(of.results[k]!, dims));
}
