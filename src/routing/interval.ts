/** Intervals: delete-one-block jackknife over sequences, percentile bootstrap over routing groups. */
import { rng } from '../base/index.ts';

/** A number as it must be printed. NaN (null in JSON) where nothing could be counted. */
export interface Estimate {
  readonly value: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
  /** How many units stand behind it: tokens, slots or groups as its owner says. */
  readonly n: number;
  /** What a router blind to the token but with the same loads scores. */
  readonly chance: number;
}

/** Student's t, 0.975 quantile, by degrees of freedom 1 … 15. */
const T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131];

export type Interval = Pick<Estimate, 'value' | 'low' | 'high'>;

/** The jackknife of several numbers that were left out together. */
export function jackknife<Name extends string>(
  whole: Readonly<Record<Name, number>>,
  replicates: readonly Readonly<Record<Name, number>>[],
): Record<Name, Interval> {
  const names = Object.keys(whole) as Name[];
  return Object.fromEntries(
    names.map((name) => [
      name,
      jackknifed(
        whole[name],
        replicates.map((r) => r[name]),
      ),
    ]),
  ) as Record<Name, Interval>;
}

/**
 * Estimate ± t·se with se² = (G−1)/G · Σ (x₋g − mean)², x₋g the estimate without block g of at most 16 blocks of sequences.
 * Never a bootstrap: duplicated sequences raise plug-in information, and the interval misses its own estimate.
 */
export function jackknifed(value: number, replicates: ArrayLike<number>): Interval {
  const xs = Float64Array.from(replicates);
  const blocks = xs.length;
  const mean = xs.reduce((a, b) => a + b, 0) / blocks;
  const squares = xs.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  const reach = (T975[blocks - 2] ?? NaN) * Math.sqrt(((blocks - 1) / blocks) * squares);
  return { value, low: value - reach, high: value + reach };
}

export const RESAMPLES = 1000;

/** [resamples][n] indices drawn with replacement; a pure function of (seed, name, n), so paired numbers use the same draws. */
export function resamples(n: number, { seed, name }: { readonly seed: number; readonly name: string }): Int32Array[] {
  const stream = rng(seed).at('routing/bootstrap').at(name);
  return Array.from({ length: RESAMPLES }, (_, b) => Int32Array.from({ length: n }, (_unused, i) => stream.below(n, b * n + i)));
}

/** 95 % percentile interval of a statistic of resampled groups. */
export function percentiles(value: number, replicates: readonly number[]): Interval {
  const sorted = Float64Array.from(replicates).sort();
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    return sorted[below]! + (place - below) * ((sorted[below + 1] ?? sorted[below]!) - sorted[below]!);
  };
  return { value, low: at(0.025), high: at(0.975) };
}

/** The whole interval above `bound`. */
export const above = ({ low }: Interval, bound: number): boolean => low > bound;
/** The whole interval below `bound`. */
export const below = ({ high }: Interval, bound: number): boolean => high < bound;
