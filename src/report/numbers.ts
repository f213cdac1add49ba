/** Numbers as the report prints them. What could not be counted (NaN, or null after JSON) is a dash. */
import type { Estimate } from '../routing/index.ts';

export type Countable = number | null | undefined;

export const DASH = '–';
/** The reason of every dash that has no reason of its own beside it. */
export const NOTHING_COUNTED = 'nothing could be counted';

const isNumber = (x: Countable): x is number => typeof x === 'number' && !Number.isNaN(x);
const withSign = (text: string): string => text.replace('-', '−');

/** Three decimals near 1, three significant digits when large; scientific only when four decimals cannot show the number. */
export function decimal(x: Countable): string {
  if (!isNumber(x)) return DASH;
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '−∞';
  const size = Math.abs(x);
  if (size !== 0 && (size < 0.00005 || size >= 1e6)) return withSign(x.toExponential(1));
  return withSign(size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : size >= 0.1 || size === 0 ? x.toFixed(3) : x.toFixed(4));
}

/** 0.1234 → 12.3 % */
export const percent = (share: Countable): string =>
  isNumber(share) ? `${withSign((share * 100).toFixed(share !== 0 && Math.abs(share) < 0.01 ? 2 : 1))}\u00a0%` : DASH;

/** 12345 → 12,345 */
export const whole = (n: Countable): string => (isNumber(n) ? Math.round(n).toLocaleString('en-US') : DASH);

/** low to high of a 95 % interval. */
export const range = ({ low, high }: Pick<Estimate, 'low' | 'high'>): string =>
  isNumber(low) && isNumber(high) ? `${decimal(low)} to ${decimal(high)}` : DASH;

/** low to high of an interval of shares. */
export const inPercent = ({ low, high }: Pick<Estimate, 'low' | 'high'>): string =>
  isNumber(low) && isNumber(high) ? `${percent(low)} to ${percent(high)}` : DASH;
