/** The reference executor: plain TypeScript loops; slow, and right by definition. */
import { roundBf16 } from '../../base/index.ts';
import { contextOf, opNamed, rulesOf, sizeOf, specsOf, type Numbers as Elements, type Program } from '../../compile/index.ts';
import type { Buffer, Buffers, BufferSpec, Executor, Loaded, Numbers } from '../contract.ts';

type Precision = 'f32' | 'f64';
type Data = Numbers | Float64Array;

class RefBuffer implements Buffer {
  readonly dtype: BufferSpec['dtype'];
  readonly shape: BufferSpec['shape'];
  data: Data;

  constructor({ dtype, shape }: BufferSpec, data: Data) {
    [this.dtype, this.shape, this.data] = [dtype, shape, data];
  }

  get bytes(): number {
    return this.data.byteLength;
  }

  /** bf16 values are f32 numbers that are rounded whenever they were written; in double precision nothing is. */
  settle(): this {
    if (this.dtype === 'bf16' && this.data instanceof Float32Array) this.data.forEach((x, i, data) => (data[i] = roundBf16(x)));
    return this;
  }
}

/** f64 keeps every float in double precision: for gradient checks. */
export function openRef(precision: Precision = 'f32'): Executor {
  const Float = precision === 'f64' ? Float64Array : Float32Array;
  const arrays = { f32: Float, bf16: Float, i32: Int32Array, i8: Int8Array };
  const allocate = ({ dtype, shape }: BufferSpec): Data => new arrays[dtype](sizeOf(shape));
  const put = (data: ArrayLike<number>, spec: BufferSpec): RefBuffer => {
    const buffer = new RefBuffer(spec, allocate(spec));
    buffer.data.set(data);
    return buffer.settle();
  };
  return {
    name: 'ref',
    load: (program) => Promise.resolve(loaded(program, allocate)),
    put,
    zeros: (spec) => new RefBuffer(spec, allocate(spec)),
    write(buffer, data) {
      (buffer as RefBuffer).data.set(data);
      (buffer as RefBuffer).settle();
    },
    get: (buffer) => (buffer as RefBuffer).data.slice() as Numbers,
    close() {},
  };
}

function loaded(program: Program, allocate: (spec: BufferSpec) => Data): Loaded {
  return {
    arguments: program.arguments,
    memory: 0,
    run(inputs, signal) {
      const values = new Map<string, RefBuffer>(program.arguments.map((a) => [a.id, inputs[a.name] as RefBuffer]));
      for (const instruction of program.code) {
        signal?.throwIfAborted();
        execute(instruction, values, allocate);
      }
      return Promise.resolve(results(program, values, inputs));
    },
    close() {},
  };
}

function execute(i: Program['code'][number], values: Map<string, RefBuffer>, allocate: (spec: BufferSpec) => Data): void {
  const op = opNamed(i.op)!;
  const operands = i.in.map((id) => values.get(id)!);
  const x = Object.fromEntries(op.inputs.map((k, n) => [k, operands[n]!.data as Elements]));
  // An output that nobody reads still needs memory here: reference rules write all of them.
  const made = specsOf(op, operands, i.attrs);
  const outputs = made.map((spec) => new RefBuffer(spec, allocate(spec)));
  const y = Object.fromEntries(op.outputs.map((k, n) => [k, outputs[n]!.data as Elements]));
  rulesOf(i.op).ref(x, y, contextOf(op, operands, made, i.attrs));
  i.out.forEach((v, n) => v && values.set(v.id, outputs[n]!.settle()));
}

function results(program: Program, values: ReadonlyMap<string, RefBuffer>, inputs: Buffers): Buffers {
  const made = program.results.map((r) => [r, values.get(r.value)!] as const);
  return Object.fromEntries(
    made.map(([r, value]) => {
      if (r.updates === undefined) return [r.name, value];
      const target = inputs[r.updates] as RefBuffer;
      if (target !== value) target.data.set(value.data);
      return [r.name, target];
    }),
  );
}
