/** Timing on a machine whose speed drifts: every measurement stands between two probes of the peak and the bandwidth. */
import type { MachineExecutor } from '../infer/index.ts';

/** What matrices are multiplied in, and weights stored in. */
export const PRECISIONS = ['f32', 'bf16', 'int8', 'int4'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** What the machine can do at this moment: GFLOP/s of multiply-adds in registers, GB/s of reads and of updates in place. */
export interface Limits {
  readonly peak: number;
  readonly read: number;
  readonly update: number;
}

export interface Measured {
  readonly runs: number;
  readonly median_s: number;
  readonly min_s: number;
  readonly max_s: number;
  /** Around this measurement: the better of before and after. */
  readonly limits: Limits;
}

const PROBE_SECONDS = 0.1;
/** Probes that differ by more than this, or a median so far above the best, say that the machine was busy; the measurement is repeated. */
const STEADY = 0.15;
const TRIES = 3;

export interface Probing {
  /** Quantized weights are multiplied as bf16 at best: the peak is that of bf16. */
  readonly precision: Precision;
  /** How many bytes are gone through: what fits a cache is read at the speed of that cache. Memory where left out. */
  readonly bytes?: number | undefined;
}

export function limits(executor: MachineExecutor, { precision, bytes }: Probing): Limits {
  return {
    peak: executor.peak(PROBE_SECONDS, precision === 'f32' ? 'f32' : 'bf16'),
    ...executor.bandwidth(PROBE_SECONDS, bytes),
  };
}

export interface Measuring extends Probing {
  /** Runs for about so long, at least three times. */
  readonly seconds: number;
}

/** Times `run` after a warm-up; keeps the steadiest of a few tries. `run` may return the seconds that count; else all of it does. */
export async function measure(executor: MachineExecutor, run: () => Promise<number | void>, m: Measuring): Promise<Measured> {
  await run();
  let best: { measured: Measured; drift: number } | undefined;
  for (let attempt = 0; attempt < TRIES && (best?.drift ?? 1) > STEADY; attempt++) {
    const before = limits(executor, m);
    const times = await timesOf(run, m.seconds);
    const after = limits(executor, m);
    const around = larger(before, after);
    const measured = { ...summary(times), limits: around };
    const drift = Math.max(Math.abs(before.peak - after.peak) / around.peak, measured.median_s / measured.min_s - 1);
    if (!best || drift < best.drift) best = { measured, drift };
  }
  return best!.measured;
}

const LEAST_RUNS = 3;

async function timesOf(run: () => Promise<number | void>, seconds: number): Promise<number[]> {
  const times: number[] = [];
  for (const start = performance.now(); times.length < LEAST_RUNS || performance.now() - start < seconds * 1000;) {
    const from = performance.now();
    const own = await run();
    times.push(own ?? (performance.now() - from) / 1000);
  }
  return times;
}

function summary(times: readonly number[]): Omit<Measured, 'limits'> {
  const sorted = times.toSorted((a, b) => a - b);
  return { runs: sorted.length, median_s: sorted[Math.floor(sorted.length / 2)]!, min_s: sorted[0]!, max_s: sorted.at(-1)! };
}

const larger = (a: Limits, b: Limits): Limits => ({
  peak: Math.max(a.peak, b.peak),
  read: Math.max(a.read, b.read),
  update: Math.max(a.update, b.update),
});
