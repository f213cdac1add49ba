/** Where the C++ machine lives: in a Node addon or in a WebAssembly module. What the executor needs of either. */

/** A piece of the machine's memory. Whoever holds it keeps it. */
export interface Region {
  readonly buffer: ArrayBufferLike;
  readonly offset: number;
}

/** Allocating and loading throw an error with code E_MEMORY when there is no memory, E_PROGRAM when a program is refused. */
export interface Host {
  /** Names of the kernels and block operations that it has. */
  readonly kernels: readonly string[];
  /** Bytes of memory that it can address. */
  readonly addressable: number;
  /** Zeros, aligned for the kernels. */
  alloc(bytes: number): Region;
  /** That part of a file; what is written to it never reaches the file. Throws UserError E_MAP (damaged) when the file is too short. */
  map(path: string, begin: number, bytes: number): Region;
  load(words: Float64Array, names: readonly string[]): Resident;
  /** GFLOP/s of multiply-adds in registers on all threads, now: of f32, or of bf16 with f32 sums (f32 where the processor lacks them). */
  peak(seconds: number, dtype: 'f32' | 'bf16'): number;
  /** GB/s of reads and of updates in place over so many bytes, now. */
  bandwidth(seconds: number, bytes: number): { read: number; update: number };
  close(): void;
}

/** A program that the machine has loaded. */
export interface Resident {
  readonly arena: Region;
  /** Bytes beside the arena. */
  readonly scratch: number;
  /** With memory for each argument, in order. One at a time on a host. Resolves to false when it was cancelled. */
  run(buffers: readonly Region[]): Promise<boolean>;
  /** The same on the calling thread, which takes part. */
  runNow(buffers: readonly Region[]): void;
  cancel(): void;
  /** How often it ran, then nanoseconds of each instruction in all. */
  profile(): Float64Array;
  /** Makes the next run a timeline. */
  record(): void;
  /** The run recorded last, four numbers a span: thread (−1: the instruction as a whole), instruction, begin and end in nanoseconds. */
  timeline(): Float64Array;
  /** Gives its memory back: at once, or when the run on its way ends. */
  close(): void;
}

/** What an engine offers here, and what would be used. */
export interface EngineFacts {
  readonly threads: number;
  /** Instruction sets built in and present, best first. */
  readonly isas: readonly string[];
  readonly isa: string;
  readonly bf16: boolean;
  readonly vnni: boolean;
}
