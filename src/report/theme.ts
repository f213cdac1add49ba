/** Colours of charts and page, light and dark: told apart without hue by their lightness, and with any colour vision (after Okabe & Ito 2008). */

const LIGHT = {
  paper: '#ffffff',
  card: '#f5f7f9',
  ink: '#1c2127',
  quiet: '#57606a',
  line: '#d0d7de',
  link: '#0b5cad',
  series: ['#0072b2', '#b84500', '#007a5a', '#9c3f7c', '#7a5c00', '#4b4fc4'],
};
const DARK = {
  paper: '#12161b',
  card: '#1b2129',
  ink: '#e8ecf1',
  quiet: '#a3adb9',
  line: '#38424e',
  link: '#7db8f5',
  series: ['#56b4e9', '#f2915a', '#3fcf9f', '#e59ac6', '#e0b83c', '#a9acff'],
};

const variables = ({ series, ...named }: typeof LIGHT): string =>
  [...Object.entries(named), ...series.map((colour, i): [string, string] => [`s${i}`, colour])]
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';');

/** CSS that sets the variables on `selector`; print is always light. */
export const themed = (selector: string): string =>
  `${selector}{${variables(LIGHT)}}@media screen and (prefers-color-scheme:dark){${selector}{${variables(DARK)}}}`;

/** How many series a chart can tell apart. */
export const SERIES = LIGHT.series.length;

/** Colour of series i, as CSS; series beyond `SERIES` begin again and are dashed by whoever draws them. */
export const seriesColour = (i: number): string => `var(--s${i % SERIES})`;
export const INK = 'var(--ink)';
export const QUIET = 'var(--quiet)';
export const LINE = 'var(--line)';
