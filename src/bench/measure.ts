/** Timing on a machine whose speed drifts: every measurement stands between two probes of the peak or the bandwidth. */
import type { CpuExecutor } from '../infer/index.ts';

export interface Measured {
  readonly median_s: number;
  readonly min_s: number;
  /** f32 GFLOP/s and GB/s around this measurement: the better of before and after. */
  readonly peak: number;
  readonly bandwidth: { readonly read: number; readonly update: number };
}

const PROBE_SECONDS = 0.1;
/** Probes that differ by more than this say that the machine was busy; the measurement is repeated. */
const STEADY = 0.15;
const TRIES = 3;

const probe = (executor: CpuExecutor) => ({ peak: executor.peak(PROBE_SECONDS), bandwidth: executor.bandwidth(PROBE_SECONDS) });

/** Runs for about `seconds`, at least three times, after a warm-up; keeps the steadiest of a few tries. */
export async function measure(executor: CpuExecutor, run: () => Promise<unknown>, seconds: number): Promise<Measured> {
  await run();
  let best: { measured: Measured; drift: number } | undefined;
  for (let attempt = 0; attempt < TRIES && (best?.drift ?? 1) > STEADY; attempt++) {
    const before = probe(executor);
    const times: number[] = [];
    for (const start = performance.now(); times.length < 3 || performance.now() - start < seconds * 1000;) {
      const from = performance.now();
      await run();
      times.push((performance.now() - from) / 1000);
    }
    const after = probe(executor);
    times.sort((a, b) => a - b);
    const measured: Measured = {
      median_s: times[Math.floor(times.length / 2)]!,
      min_s: times[0]!,
      peak: Math.max(before.peak, after.peak),
      bandwidth: {
        read: Math.max(before.bandwidth.read, after.bandwidth.read),
        update: Math.max(before.bandwidth.update, after.bandwidth.update),
      },
    };
    const drift = Math.abs(before.peak - after.peak) / measured.peak;
    if (!best || drift < best.drift) best = { measured, drift };
  }
  return best!.measured;
}

export interface Row {
  readonly name: string;
  readonly shape: string;
  readonly dtype: 'f32';
  readonly threads: number;
  readonly median_s: number;
  readonly min_s: number;
  /** The longer of FLOPs ÷ peak and bytes ÷ bandwidth. */
  readonly floor_s: number;
  /** floor ÷ median. */
  readonly share: number;
  readonly bound: 'compute' | 'memory';
  readonly peak_gflops: number;
  readonly read_gb_s: number;
  readonly update_gb_s: number;
  readonly tok_per_s?: number;
  readonly model_flops?: number;
}

/** What one run must do at least. */
export interface Work {
  readonly flops: number;
  readonly bytes: number;
  /** Whether it writes as much as it reads: then the bandwidth is that of updates. */
  readonly writes: boolean;
}

export function row(name: string, shape: string, threads: number, measured: Measured, work: Work): Row {
  const compute = work.flops / (measured.peak * 1e9);
  const memory = work.bytes / ((work.writes ? measured.bandwidth.update : measured.bandwidth.read) * 1e9);
  const floor_s = Math.max(compute, memory);
  return {
    name,
    shape,
    dtype: 'f32',
    threads,
    median_s: measured.median_s,
    min_s: measured.min_s,
    floor_s,
    share: floor_s / measured.median_s,
    bound: compute >= memory ? 'compute' : 'memory',
    peak_gflops: measured.peak,
    read_gb_s: measured.bandwidth.read,
    update_gb_s: measured.bandwidth.update,
  };
}
