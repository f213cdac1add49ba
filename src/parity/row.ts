/** What a comparison says: rows of differences against tolerances that are built in. */

/** An array of numbers, ours or the reference's. */
export type Numbers = ArrayLike<number>;

export interface Row {
  readonly fixture: string;
  readonly quantity: string;
  /** Largest |ours − theirs|; null where it is not finite, or nothing was measured. */
  readonly max_abs: number | null;
  /** Largest |ours − theirs| ÷ the largest |theirs| of the same tensor; null as above. */
  readonly max_rel: number | null;
  /** Whole numbers (choices, slots, kept flags, capacities, tokens) that are not equal. */
  readonly decisions_differ: number;
  /** What the difference may reach; 0 for decisions. `measure` says which difference. */
  readonly tolerance: number;
  readonly measure: Measure;
  readonly verdict: 'pass' | 'fail' | 'not run';
  /** Why it could not be run. */
  readonly reason?: string;
}

/**
 * absolute: |a − b|. relative: |a − b| ÷ the tensor's largest |b|. each: |a − b| ÷ |b| of each number. equal: whole numbers, equal.
 */
export type Measure = 'absolute' | 'relative' | 'each' | 'equal';

export interface Tolerance {
  /** by size: absolute where all numbers are below 1, else relative. */
  readonly measure: Measure | 'by size';
  readonly limit: number;
}

const absolute = (limit: number): Tolerance => ({ measure: 'absolute', limit });
const relative = (limit: number): Tolerance => ({ measure: 'relative', limit });

/**
 * Allowed differences in single precision. The reference in f32 differs from itself in f64 by at most: torch logits 2.4e-5 and hidden states
 * 5.7e-5 (6.4e-5 and 1.1e-4 at 512 positions), jax logits 1.4e-5, losses 8e-7, gradients 3e-6 of a tensor's largest entry, traces 3.5e-6.
 */
export const ALLOWED = {
  torchLogits: absolute(1e-4),
  torchHidden: absolute(3e-4),
  logsumexp: absolute(1e-5),
  jaxLogits: absolute(1e-4),
  jaxHidden: absolute(1e-4),
  loss: absolute(1e-5),
  /** Losses of single layers and sums over positions, which may be far above 1. */
  lossPart: { measure: 'by size', limit: 1e-5 },
  gradient: relative(2e-5),
  /** Of a sum of a gradient's entries ÷ its length: signs cancel. */
  gradientSum: absolute(2e-5),
  trace: absolute(1e-4),
  /** Second moments span many orders of magnitude. */
  statistics: { measure: 'each', limit: 1e-4 },
  probabilities: absolute(2e-5),
  module: relative(1e-5),
  exact: absolute(0),
} as const satisfies Record<string, Tolerance>;

/** Beyond 256 positions, differences of rotary tables add up: three times as much is allowed. */
export const beyond = (positions: number, { measure, limit }: Tolerance): Tolerance =>
  positions > 256 ? { measure, limit: 3 * limit } : { measure, limit };

interface Difference {
  readonly abs: number;
  /** Of the largest. */
  readonly rel: number;
  readonly largest: number;
  readonly each: number;
}

/** Infinite where lengths differ or a number on either side is not finite and not the same. */
function difference(ours: Numbers, theirs: Numbers): Difference {
  if (ours.length !== theirs.length || ours.length === 0) return { abs: Infinity, rel: Infinity, largest: 0, each: Infinity };
  let [abs, each, largest] = [0, 0, 0];
  for (let i = 0; i < ours.length; i++) {
    const [a, b] = [ours[i]!, theirs[i]!];
    const d = a === b ? 0 : Math.abs(a - b);
    if (!(d <= abs)) abs = Number.isNaN(d) ? Infinity : d;
    const share = d === 0 ? 0 : d / Math.abs(b);
    if (!(share <= each)) each = Number.isNaN(share) ? Infinity : share;
    largest = Math.max(largest, Math.abs(b));
  }
  return { abs, rel: abs === 0 ? 0 : abs / largest, largest, each };
}

/** Collects the rows of one fixture; a quantity that is compared again keeps the larger difference. */
export interface Sheet {
  /** Numbers within a tolerance. */
  near(quantity: string, ours: Numbers, theirs: Numbers, tolerance: Tolerance): void;
  /** Whole numbers that must be equal. */
  same(quantity: string, ours: Numbers, theirs: Numbers): void;
  /** Says what of the fixture is not compared, and why. */
  leave(what: string): void;
  readonly rows: readonly Row[];
  readonly left: readonly string[];
}

/** One comparison that can be run alone. */
export interface Fixture {
  readonly name: string;
  /** Files that it reads, for what no fixture reads to be named. */
  readonly files: readonly string[];
  run(to: Sheet): Promise<void>;
}

export function sheet(fixture: string): Sheet {
  const rows = new Map<string, Row>();
  const left: string[] = [];
  const put = (row: Row): void => {
    const before = rows.get(row.quantity);
    rows.set(row.quantity, before ? merged(before, row) : row);
  };
  return {
    near(quantity, ours, theirs, { measure: asked, limit }) {
      const { abs, rel, largest, each } = difference(ours, theirs);
      const measure = asked !== 'by size' ? asked : largest < 1 ? 'absolute' : 'relative';
      const measured = { absolute: abs, relative: rel, each, equal: abs }[measure];
      put({
        fixture,
        quantity,
        max_abs: finite(abs),
        max_rel: finite(measure === 'each' ? each : rel),
        decisions_differ: 0,
        tolerance: limit,
        measure,
        verdict: measured <= limit ? 'pass' : 'fail',
      });
    },
    same(quantity, ours, theirs) {
      const n = unequal(ours, theirs);
      const verdict = n === 0 ? 'pass' : 'fail';
      put({ fixture, quantity, max_abs: null, max_rel: null, decisions_differ: n, tolerance: 0, measure: 'equal', verdict });
    },
    leave: (what) => void left.push(`${fixture}: ${what}`),
    get rows() {
      return [...rows.values()];
    },
    left,
  };
}

/** The row of a fixture that could not be run. */
export const notRun = (fixture: string, reason: string): Row => ({
  fixture,
  quantity: 'all',
  max_abs: null,
  max_rel: null,
  decisions_differ: 0,
  tolerance: 0,
  measure: 'equal',
  verdict: 'not run',
  reason,
});

const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);

function unequal(ours: Numbers, theirs: Numbers): number {
  let n = Math.abs(ours.length - theirs.length) + Number(ours.length === 0 && theirs.length === 0);
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) n += Number(ours[i] !== theirs[i]);
  return n;
}

const merged = (a: Row, b: Row): Row => ({
  ...a,
  max_abs: larger(a.max_abs, b.max_abs, a.measure === 'equal'),
  max_rel: larger(a.max_rel, b.max_rel, a.measure === 'equal'),
  decisions_differ: a.decisions_differ + b.decisions_differ,
  verdict: a.verdict === 'pass' ? b.verdict : a.verdict,
});

const larger = (a: number | null, b: number | null, nothing: boolean): number | null =>
  nothing || a === null || b === null ? null : Math.max(a, b);
