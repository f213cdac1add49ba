/** Numbers as people write and read them: counts, bytes, durations, shares, and a sparkline. */
import { EXIT, UserError } from './errors.ts';

const NUMBER = String.raw`(\d+(?:\.\d+)?|\.\d+)`;

const refuse = (text: string, place: string, what: string, hint: string): UserError =>
  new UserError('E_NUMBER', EXIT.usage, { message: `"${text}" is not ${what}`, place, hint: `write ${hint}` });

const COUNT_EXPONENT: Readonly<Record<string, number>> = { '': 0, k: 3, m: 6, b: 9, g: 9, t: 12 };

/** `2k`, `25.6m`, `1b`, `1_000`, `3e6` → a whole number ≥ 0. Throws E_NUMBER (usage) at `place`. */
export function parseCount(text: string, place: string): number {
  const match = new RegExp(`^${NUMBER}(?:e\\+?(\\d{1,2}))?([kmbgt]?)$`, 'i').exec(text.trim().replaceAll(/(?<=\d)_(?=\d)/g, ''));
  // through the decimal text, since 25.6 · 1e6 is not 25600000 in floating point
  const count = match ? Number(`${match[1]}e${Number(match[2] ?? 0) + COUNT_EXPONENT[match[3]!.toLowerCase()]!}`) : NaN;
  if (!Number.isSafeInteger(count)) throw refuse(text, place, 'a whole number', '2000, 2k, 25.6m or 1b');
  return count;
}

/** `4G`, `1.5GiB` (powers of 1024), `4GB` (powers of 1000, as GNU coreutils) or plain bytes → whole bytes. Throws E_NUMBER (usage). */
export function parseBytes(text: string, place: string): number {
  const match = new RegExp(`^${NUMBER}\\s*(?:([kmgt])(i?b)?|b)?$`, 'i').exec(text.trim());
  const power = match?.[2] ? 'kmgt'.indexOf(match[2].toLowerCase()) + 1 : 0;
  const bytes = match ? Math.round(Number(match[1]) * (match[3]?.toLowerCase() === 'b' ? 1000 : 1024) ** power) : NaN;
  if (!Number.isSafeInteger(bytes)) throw refuse(text, place, 'an amount of memory', '512M, 4G or 1.5GiB');
  return bytes;
}

const SECONDS: Readonly<Record<string, number>> = { ms: 1e-3, s: 1, m: 60, h: 3600, d: 86400 };

/** `90s`, `25m`, `1h30m`, `500ms`, or plain seconds → seconds. Throws E_NUMBER (usage). */
export function parseDuration(text: string, place: string): number {
  const compact = text.trim().toLowerCase().replaceAll(' ', '');
  if (new RegExp(`^${NUMBER}$`).test(compact)) return Number(compact);
  const parts = [...compact.matchAll(new RegExp(`${NUMBER}(ms|[smhd])`, 'g'))];
  const units = parts.map(([, , unit]) => SECONDS[unit!]!);
  const descending = units.every((unit, i) => i === 0 || unit < units[i - 1]!);
  if (parts.length === 0 || !descending || parts.map(([whole]) => whole).join('') !== compact)
    throw refuse(text, place, 'a duration', '90s, 25m or 1h30m');
  return parts.reduce((sum, [, amount], i) => sum + Number(amount) * units[i]!, 0);
}

/** `50%` or `0.5` → a share in [0, 1]. Throws E_NUMBER (usage). */
export function parseShare(text: string, place: string): number {
  const match = new RegExp(`^${NUMBER}(%?)$`).exec(text.trim());
  const share = match ? Number(match[1]) / (match[2] ? 100 : 1) : NaN;
  if (!(share <= 1)) throw refuse(text, place, 'a share', '50% or 0.5');
  return share;
}

/** Three significant digits and a unit that `parseCount` reads: `999`, `2k`, `25.6m`, `1.05b`. */
export function formatCount(count: number): string {
  return scaled(count, 1000, ['', 'k', 'm', 'b', 't'], '');
}

/** Three significant digits in powers of 1024: `512 B`, `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], ' ');
}

function scaled(value: number, base: number, units: readonly string[], gap: string): string {
  if (!Number.isFinite(value)) return String(value);
  const rounded = (unit: number): number => Number((value / base ** unit).toPrecision(3));
  let unit = 0;
  while (unit < units.length - 1 && Math.abs(rounded(unit)) >= 1000) unit++; // after rounding: 999.7k is 1m
  return `${rounded(unit)}${units[unit] ? gap + units[unit] : ''}`;
}

/** Two units at most: `850ms`, `9.5s`, `42s`, `25m 03s`, `1h 05m`, `2d 04h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return String(seconds);
  if (seconds < 0) return `-${formatDuration(-seconds)}`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}ms`;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const pair = (size: number, unit: string, small: number, smallUnit: string): string => {
    const count = Math.round(seconds / small);
    const per = size / small;
    return `${Math.floor(count / per)}${unit} ${String(count % per).padStart(2, '0')}${smallUnit}`;
  };
  if (whole < 3600) return pair(60, 'm', 1, 's');
  if (Math.round(seconds / 60) < 1440) return pair(3600, 'h', 60, 'm');
  return pair(86400, 'd', 3600, 'h');
}

/** At most one decimal: `0.3%`, `12.3%`, `100%`. */
export function formatShare(share: number): string {
  return Number.isFinite(share) ? `${Number((share * 100).toFixed(1))}%` : String(share);
}

const BARS = '▁▂▃▄▅▆▇█';

/** At most `width` bars from lowest to highest, each the mean of its stretch of values; a stretch without finite value is a gap. */
export function sparkline(values: readonly number[], width: number): string {
  const columns = Math.min(width, values.length);
  const means = Array.from({ length: columns }, (_, c) => {
    const from = Math.floor((c * values.length) / columns);
    const stretch = values.slice(from, Math.floor(((c + 1) * values.length) / columns)).filter(Number.isFinite);
    return stretch.length > 0 ? stretch.reduce((sum, v) => sum + v, 0) / stretch.length : NaN;
  });
  const finite = means.filter(Number.isFinite);
  const least = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const span = finite.reduce((a, b) => Math.max(a, b), -Infinity) - least;
  return means.map((m) => (Number.isFinite(m) ? BARS[span > 0 ? Math.round(((m - least) / span) * 7) : 0]! : ' ')).join('');
}
