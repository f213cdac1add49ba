/** Runs conformance cases: the op alone, its decomposition, and its gradient, on any executor. */
import { rng } from '../src/base/index.ts';
import {
  type ArgumentSpec,
  cast,
  type Case,
  type Executor,
  type Fill,
  gradient,
  mul,
  neg,
  opNamed,
  rulesOf,
  sizeOf,
  sum,
  type Tensor,
  type Tensors,
  trace,
  add,
  type Program,
  type Numbers as Given,
  isFloat,
  cpuIsas,
  openCpu,
  openWasm,
  wasmIsas,
} from '../src/exec/index.ts';
import { apply } from '../src/graph/index.ts';

export type Numbers = Given | Float64Array;

/** The numbers of a generated operand: a pure function of the case and the operand's name. */
export function fill({ shape, dtype, values, below, shift = 0 }: Fill, seed: string): Given {
  const random = rng(7).at(seed);
  const make = (i: number): number =>
    values?.[i] ??
    (below === undefined ? random.normal(i) + (shift ? Math.sign(random.normal(i) + shift) * shift : 0) : random.below(below, i));
  const size = sizeOf(shape);
  const from = { length: size };
  if (dtype === 'i32') return Int32Array.from(from, (_, i) => make(i));
  return dtype === 'i8' ? Int8Array.from(from, (_, i) => make(i)) : Float32Array.from(from, (_, i) => make(i));
}

const specsOf = (c: Case): Record<string, ArgumentSpec> =>
  Object.fromEntries(Object.entries(c.inputs).map(([k, v]) => [k, { shape: v.shape, dtype: v.dtype }]));

const outputsOf = (op: string, args: Readonly<Record<string, Tensor>>, c: Case): Record<string, Tensor> => {
  const definition = opNamed(op)!;
  const made = apply(
    definition,
    definition.inputs.map((k) => args[k]!),
    c.attrs ?? {},
  );
  return Object.fromEntries(definition.outputs.map((k, i) => [k, made[i]!]));
};

/** One op as a program that overwrites nothing. */
export const programOf = (op: string, c: Case): Program =>
  trace(`${op}: ${c.about}`, specsOf(c), (args) => ({ results: outputsOf(op, args, c) }));

/** The same where the op may take over the memory of operands. */
export const inPlaceProgram = (op: string, c: Case): Program =>
  trace(`${op} in place: ${c.about}`, specsOf(c), (args) => {
    const fresh = Object.values(opNamed(op)!.definition.inPlace ?? {});
    const copied = (x: Tensor): Tensor => cast(neg(neg(cast(x, 'f32'))), x.dtype as 'f32' | 'bf16');
    return { results: outputsOf(op, { ...args, ...Object.fromEntries(fresh.map((k) => [k, copied(args[k]!)])) }, c) };
  });

export const decomposedProgram = (op: string, c: Case): Program =>
  trace(`${op} decomposed`, specsOf(c), (args) => ({
    results: { ...rulesOf(op).decompose!(args as Tensors<never>, c.attrs ?? {}) } as Record<string, Tensor>,
  }));

/** A scalar that weighs every float output by fixed random numbers, and its gradients. */
export function gradientProgram(op: string, c: Case): { program: Program; wrt: string[] } {
  const wrt = Object.entries(c.inputs).flatMap(([k, v]) => (isFloat(v.dtype) ? [k] : []));
  const weights = weightSpecs(op, c);
  const program = trace(`${op} gradient`, { ...specsOf(c), ...weights }, (args) => {
    const outputs = Object.entries(outputsOf(op, args, c)).filter(([k, t]) => isFloat(t.dtype) && `weight.${k}` in weights);
    const loss = outputs.map(([k, t]) => sum(mul(cast(t, 'f32'), args[`weight.${k}`]!))).reduce((a, b) => add(a, b));
    const grads = gradient(
      loss,
      wrt.map((k) => args[k]!),
    );
    return { results: { loss, ...Object.fromEntries(wrt.map((k, i) => [`d.${k}`, grads[i]!])) } };
  });
  return { program, wrt };
}

function weightSpecs(op: string, c: Case): Record<string, ArgumentSpec> {
  const specs: Record<string, ArgumentSpec> = {};
  trace('shapes', specsOf(c), (args) => {
    const results = outputsOf(op, args, c);
    for (const [k, t] of Object.entries(results)) if (isFloat(t.dtype)) specs[`weight.${k}`] = { shape: t.shape };
    return { results };
  });
  return specs;
}

export function numbersOf(program: Program, c: Case): Record<string, Given> {
  return Object.fromEntries(
    program.arguments.map((a) => [a.name, fill(c.inputs[a.name] ?? { shape: a.shape, dtype: a.dtype }, `${c.about}/${a.name}`)]),
  );
}

/** Runs a program once on these numbers and returns its results. */
export async function evaluate(
  executor: Executor,
  program: Program,
  numbers: Readonly<Record<string, Given>>,
): Promise<Record<string, Numbers>> {
  const loaded = await executor.load(program);
  const inputs = Object.fromEntries(program.arguments.map((a) => [a.name, executor.put(numbers[a.name]!, a)]));
  const results = await loaded.run(inputs);
  const read = Object.fromEntries(Object.entries(results).map(([k, b]) => [k, executor.get(b)]));
  loaded.close();
  return read;
}

/** Largest |a − b| ÷ (1 + |b|); NaN equals NaN and infinities equal themselves. */
export function distance(a: Numbers, b: Numbers): number {
  let worst = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i] || (Number.isNaN(a[i]!) && Number.isNaN(b[i]!))) continue;
    const d = Math.abs(a[i]! - b[i]!) / (1 + Math.abs(b[i]!));
    worst = Math.max(worst, Number.isNaN(d) ? Infinity : d);
  }
  return worst;
}

/** Executors on this machine, by what the test calls them: each instruction set, native and in WebAssembly. */
export function executors(): [string, () => Executor][] {
  const [native, wasm] = [cpuIsas(), wasmIsas()];
  if (native.length === 0) console.log('skipped on cpu: the addon is not built');
  if (wasm.length === 0) console.log('skipped on wasm: npm run build makes its module');
  return [
    ...native.map((isa): [string, () => Executor] => [`cpu, ${isa}`, () => withIsa(isa, () => openCpu({ threads: 2 }))]),
    ...wasm.map((isa): [string, () => Executor] => [`wasm, ${isa}`, () => withIsa(isa, () => openWasm({ threads: 2 }))]),
  ];
}

/** Opens an executor as OPENMOE_ISA would have it. */
export function withIsa<T>(isa: string, open: () => T): T {
  const before = process.env['OPENMOE_ISA'];
  process.env['OPENMOE_ISA'] = isa;
  try {
    return open();
  } finally {
    if (before === undefined) delete process.env['OPENMOE_ISA'];
    else process.env['OPENMOE_ISA'] = before;
  }
}
