/** The CIA World Factbook as prose: one document a country and chapter. */
import { pieces } from '../source.ts';
import type { PackageFiles } from './package-files.ts';

/** A field: `text`, and fields below it by name. */
interface Field {
  readonly [name: string]: Field | string;
}

export function* factbook(files: PackageFiles): Generator<string> {
  for (const path of files.list('.').filter((p) => /^[a-z-]+\/[a-z]{2}\.json$/.test(p))) {
    const chapters = JSON.parse(files.text(path)) as Readonly<Record<string, Field>>;
    const country = countryName(chapters);
    for (const [title, fields] of Object.entries(chapters)) yield* pieces(`${country}: ${title}\n\n${prose(fields, 0)}`, 6000);
  }
}

function countryName(chapters: Readonly<Record<string, Field>>): string {
  const names = chapters['Government']?.['Country name'] as Record<string, { text?: string }> | undefined;
  const name = names?.['conventional short form']?.text;
  return (name && name !== 'none' ? name : names?.['conventional long form']?.text) ?? 'World';
}

/** `++` separates entries inside one text; some are empty. U+FFFD stands where the package lost an accented letter. */
const clean = (text: string): string =>
  text
    .split('++')
    .map((entry) => entry.replaceAll(/\s+/g, ' ').trim())
    .filter(Boolean)
    .join('; ')
    .replaceAll(/([.;:,]);/g, '$1')
    .replaceAll('\uFFFD', '?');

function prose(fields: Field, depth: number): string {
  return Object.entries(fields)
    .map(([name, field]) => {
      if (typeof field === 'string') return '';
      const { text, ...below } = field;
      const own = typeof text === 'string' ? clean(text) : '';
      const rest = prose(below, depth + 1);
      const line = `${'  '.repeat(depth)}${name}:${own && ` ${own}`}\n${rest}`;
      return depth === 0 ? `${line}\n` : line;
    })
    .join('');
}
