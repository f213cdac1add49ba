/** A row of a measurement: what was run, how long it took, and how long it must take at least. */
import type { Limits, Measured, Precision } from './measure.ts';

export interface Row {
  readonly name: string;
  readonly shape: string;
  readonly dtype: Precision | 'text';
  readonly threads: number;
  readonly median_s: number;
  readonly min_s: number;
  readonly max_s: number;
  readonly runs: number;
  /** The longer of FLOPs ÷ peak and bytes ÷ bandwidth. */
  readonly floor_s: number;
  /** floor ÷ median. */
  readonly share: number;
  readonly bound: Bound;
  /** GFLOP/s and GB/s measured right before and after: the better of both. */
  readonly peak_gflops: number;
  readonly read_gb_s: number;
  readonly update_gb_s: number;
  readonly tok_per_s?: number;
  readonly model_flops?: number;
  /** Millions of bytes of text a second. */
  readonly mb_per_s?: number;
  /** Time ÷ that of a dense layer of equal active FLOPs, measured just before. */
  readonly to_dense?: number;
  /** The slowest of a hundred turns of the event loop while it ran, in seconds. */
  readonly event_loop_p99_s?: number;
  /** What a peer's line must say to be about the same work. */
  readonly like?: Likeness;
  /** The fastest peer. */
  readonly peer?: PeerResult;
}

export interface PeerResult {
  /** Such as `torch bf16-pure default grouped tuned`. */
  readonly who: string;
  /** Its time ÷ ours, or our rate ÷ its: above 1 we are faster. */
  readonly ratio: number;
}

export type Bound = 'compute' | 'memory';
export type Likeness = Readonly<Record<string, string | number>>;

/** What one run must do at least. */
export interface Work {
  readonly flops: number;
  /** Bytes. */
  readonly read: number;
  readonly written: number;
}

/** Every byte written goes along with one read, at the speed of updates in place; the rest is read only. */
export function floorOf({ flops, read, written }: Work, { peak, read: reads, update }: Limits): { floor_s: number; bound: Bound } {
  const compute = flops / (peak * 1e9);
  const along = Math.min(read, written);
  const memory = (along + written) / (update * 1e9) + (read - along) / (reads * 1e9);
  return { floor_s: Math.max(compute, memory), bound: compute >= memory ? 'compute' : 'memory' };
}

export interface Named {
  readonly name: string;
  readonly shape: string;
  readonly dtype: Precision | 'text';
  readonly threads: number;
  readonly like?: Likeness | undefined;
}

export function row({ like, ...named }: Named, { limits, ...times }: Measured, work: Work): Row {
  const floor = floorOf(work, limits);
  return {
    ...named,
    ...times,
    ...floor,
    share: floor.floor_s / times.median_s,
    peak_gflops: limits.peak,
    read_gb_s: limits.read,
    update_gb_s: limits.update,
    ...(like && { like }),
  };
}
