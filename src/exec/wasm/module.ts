/** Which module runs here: the one with relaxed vector instructions where those round a multiply-add once, else the plain one. */
import { EXIT, suggest, UserError } from '../../base/index.ts';
import type { EngineFacts } from '../machine/index.ts';
import { allowRelaxed, moduleFile } from './threads.node.ts';

/** What native/wasm.cc exports, and what the linker adds. Places and sizes are bytes in the memory. */
export interface Exports {
  readonly __stack_pointer: WebAssembly.Global;
  _initialize(): void;
  alloc(bytes: number): number;
  release(place: number): void;
  kernels(): number;
  pool(threads: number): number;
  stop(pool: number): void;
  load(words: number, count: number, names: number, threads: number): number;
  refusal(): number;
  unload(machine: number): void;
  arena(machine: number): number;
  scratch_bytes(machine: number): number;
  ready(machine: number): void;
  run(machine: number, places: number, pool: number): number;
  cancel(machine: number): void;
  runs(machine: number): number;
  spent(machine: number): number;
  peak(pool: number, seconds: number): number;
  bandwidth(pool: number, bytes: number, seconds: number, out: number): void;
  record(machine: number): void;
  span_count(machine: number): number;
  spans(machine: number): number;
}

// (module (func (export "f") (param f32) (result f32)
//   (f32x4.extract_lane 0 (f32x4.relaxed_madd (f32x4.splat x) (f32x4.splat x) (f32x4.splat (f32.const -1))))))
const MULTIPLY_ADD = new Uint8Array(
  [
    [0, 97, 115, 109, 1, 0, 0, 0], // \0asm, version 1
    [1, 6, 1, 96, 1, 125, 1, 125], // types: f32 → f32
    [3, 2, 1, 0], // functions: one of type 0
    [7, 5, 1, 1, 102, 0, 0], // exports: f
    [10, 25, 1, 23, 0, 32, 0, 253, 19, 32, 0, 253, 19, 67, 0, 0, 128, 191, 253, 19, 253, 133, 2, 253, 31, 0, 11], // code
  ].flat(),
);

/** Relaxed instructions may round a product before it is added, or not; the promise of equal bits is kept for those that do not. */
export function multiplyAddIsFused(): boolean {
  if (!WebAssembly.validate(MULTIPLY_ADD)) allowRelaxed();
  if (!WebAssembly.validate(MULTIPLY_ADD)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(MULTIPLY_ADD)).exports as { f(x: number): number };
  const x = 1 + 2 ** -12;
  return f(x) === x * x - 1; // x² needs 25 bits of a mantissa: f32 has 24
}

const ISAS = { 'wasm-relaxed': 'relaxed', 'wasm-simd128': 'simd128' } as const;

/** Instruction sets built and present here, best first. */
export const wasmIsas = (): readonly string[] =>
  Object.entries(ISAS).flatMap(([isa, file]) => (moduleFile(file) && (file !== 'relaxed' || multiplyAddIsFused()) ? [isa] : []));

/** OPENMOE_ISA forces an instruction set. Throws UserError E_NO_ENGINE or E_ISA (exit 3). */
export function wasmFacts(threads: number): EngineFacts {
  const isas = wasmIsas();
  const isa = process.env['OPENMOE_ISA'] || isas[0];
  if (isa === undefined)
    throw new UserError('E_NO_ENGINE', EXIT.notFound, { message: 'the WebAssembly engine is not built', hint: 'run: npm run build' });
  if (!isas.includes(isa))
    throw new UserError('E_ISA', EXIT.notFound, {
      message: `instruction set ${isa} is not here`,
      place: 'OPENMOE_ISA',
      hint: suggest(isa, isas),
    });
  return { threads, isas, isa, bf16: false, vnni: false };
}

export const compiled = (isa: string): WebAssembly.Module => new WebAssembly.Module(moduleFile(ISAS[isa as keyof typeof ISAS])!);
