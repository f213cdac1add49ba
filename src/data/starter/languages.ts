/** Human languages: the TypeScript compiler's messages and the Universal Declaration of Human Rights. */
import { grouped, pieces } from '../source.ts';
import type { PackageFiles } from './package-files.ts';

/** Bytes of UTF-8 of a document: 300 to 450 tokens in every script. */
const DOCUMENT = 1000;
const bytes = (text: string): number => new TextEncoder().encode(text).length;

/** Messages in order of their codes. */
export function* messages(files: PackageFiles, language: string): Generator<string> {
  const all = JSON.parse(files.text(`lib/${language}/diagnosticMessages.generated.json`)) as Readonly<Record<string, string>>;
  const code = (key: string): number => Number(/\d+$/.exec(key)?.[0] ?? 0);
  const sorted = Object.entries(all).sort(([a], [b]) => code(a) - code(b) || (a < b ? -1 : 1));
  yield* grouped(
    sorted.map(([, message]) => `${message}\n`),
    DOCUMENT,
  );
}

/** The Declaration in one language, a few articles a document. */
export function* declaration(files: PackageFiles, language: string): Generator<string> {
  const body = /<body>([^]*)<\/body>/.exec(files.text(`declaration/${language}.html`))?.[1] ?? '';
  const lines = [...body.matchAll(/<(h\d|p)\b[^>]*>([^]*?)<\/\1>/g)].map(([, tag, inner]) => (tag === 'p' ? '' : '\n') + plain(inner!));
  const text = `${lines.join('\n').trim()}\n`;
  yield* pieces(text, (DOCUMENT * text.length) / bytes(text));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00A0' };

const plain = (html: string): string =>
  html
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) =>
      name ? (ENTITIES[name] ?? whole) : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)),
    )
    .replaceAll(/\s+/g, ' ')
    .trim();
