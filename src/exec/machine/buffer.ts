/** Arrays in the machine's memory, as JavaScript reads and writes them. */
import { bf16FromF32, f32FromBf16, invariant } from '../../base/index.ts';
import { bytesOf, type DType, sizeOf } from '../../compile/index.ts';
import type { Buffer, BufferSpec, Numbers } from '../contract.ts';
import type { Region } from './host.ts';

const ARRAYS = { f32: Float32Array, i32: Int32Array, bf16: Uint16Array, i8: Int8Array } as const satisfies Record<DType, unknown>;

/** The numbers of a dtype that lie in memory as the machine has them: a view, bf16 as its bits. */
const viewOf = ({ dtype, shape }: BufferSpec, { buffer, offset }: Region): Numbers | Uint16Array =>
  new ARRAYS[dtype](buffer as ArrayBuffer, offset, sizeOf(shape));

/** A copy of the numbers that lie there. */
export function numbersIn(spec: BufferSpec, region: Region): Numbers {
  const data = viewOf(spec, region);
  return data instanceof Uint16Array ? f32FromBf16(data.slice()) : data.slice();
}

export class MachineBuffer implements Buffer {
  readonly dtype: BufferSpec['dtype'];
  readonly shape: BufferSpec['shape'];
  readonly region: Region;
  /** The program whose memory this is: when it closes, the numbers are gone. */
  private readonly owner: { readonly closed: boolean } | undefined;

  constructor({ dtype, shape }: BufferSpec, region: Region, owner?: { readonly closed: boolean }) {
    [this.dtype, this.shape, this.region, this.owner] = [dtype, shape, region, owner];
  }

  write(numbers: Numbers): void {
    this.invariantOpen();
    viewOf(this, this.region).set(this.dtype === 'bf16' && numbers instanceof Float32Array ? bf16FromF32(numbers) : numbers);
  }

  /** A copy. */
  read(): Numbers {
    this.invariantOpen();
    return numbersIn(this, this.region);
  }

  private invariantOpen(): void {
    invariant(!this.owner?.closed, 'a result was read after its program was closed');
  }

  get bytes(): number {
    return bytesOf(this);
  }
}
