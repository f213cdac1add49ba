/** exec: what every executor must be. Knows programs and bytes; must not know gradients, models or training. */
import type { Argument, DType, Program, Shape } from '../compile/index.ts';
import type { Executed } from './executed.ts';

/** Numbers as JavaScript sees them: bf16 as f32, rounded on the way in and exact on the way out. */
export type Numbers = Float32Array | Int32Array | Int8Array;

export interface BufferSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Memory that lives with the executor. A handle: only the executor that made it may read it. */
export interface Buffer extends BufferSpec {
  readonly bytes: number;
}

export type Buffers = Readonly<Record<string, Buffer>>;

export interface Executor {
  readonly name: string;
  /** Compiles a program for this executor. Throws UserError (exit 5) when its memory cannot be had. */
  load(program: Program): Promise<Loaded>;
  /** A new buffer with a copy of these numbers. */
  put(data: Numbers, spec: BufferSpec): Buffer;
  /** A new buffer of zeros. */
  zeros(spec: BufferSpec): Buffer;
  /** Overwrites a buffer. */
  write(buffer: Buffer, data: Numbers): void;
  /** A copy of a buffer's numbers. */
  get(buffer: Buffer): Numbers;
  close(): void;
}

export interface Loaded {
  /** Arguments that the program expects. */
  readonly arguments: readonly Argument[];
  /**
   * Runs once. A result that overwrites an argument is that argument's buffer; the others are valid until the next run.
   * The same object of inputs means the same buffers: they need not be looked at again.
   * When `signal` aborts, the run stops between two instructions and rejects; buffers stay usable.
   */
  run(inputs: Buffers, signal?: AbortSignal): Promise<Buffers>;
  /** Arena and scratch in bytes. */
  readonly memory: number;
  /** Each instruction with its mean time since this was last asked, in order of execution, where the executor measures them. */
  profile?(): readonly Timed[];
  /** Makes the next run a timeline, where the executor can. */
  record?(): void;
  /** The run recorded last. */
  timeline?(): Timeline;
  close(): void;
}

/** One run: which thread worked on which instruction, from when to when. */
export interface Timeline {
  readonly threads: number;
  readonly instructions: readonly Executed[];
  readonly spans: readonly Span[];
}
export interface Span {
  /** −1: the instruction as a whole, from its call to its return. */
  readonly thread: number;
  /** Index of the instruction. */
  readonly instruction: number;
  /** Seconds since the first instruction began. */
  readonly begin_s: number;
  readonly end_s: number;
}

export interface Timed extends Executed {
  readonly seconds: number;
}
