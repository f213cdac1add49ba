/** A run's data.md: what was trained on, where it is from, under which licence, and how much of it. */
import type { Dataset } from './dataset.ts';
import { type DomainCounts, type Split, SPLITS } from './split.ts';

const number = (n: number): string => n.toLocaleString('en-US');
const row = (cells: readonly (string | number)[]): string =>
  `| ${cells.map((c) => (typeof c === 'number' ? number(c) : c.replaceAll('|', '\\|'))).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

/** Markdown: sources and licences, then documents, bytes and tokens by domain and side. */
export function describeData(data: Dataset): string {
  const sum = (part: keyof DomainCounts, sides: readonly Split[], counts: readonly DomainCounts[]): number =>
    counts.reduce((n, c) => n + sides.reduce((m, side) => m + c[part][side], 0), 0);
  const sizes = (counts: readonly DomainCounts[]): (string | number)[] => {
    const [bytes, tokens] = [sum('bytes', SPLITS, counts), sum('tokens', SPLITS, counts)];
    return [
      sum('documents', SPLITS, counts),
      bytes,
      tokens,
      (bytes / tokens || 0).toFixed(2),
      ...SPLITS.map((side) => sum('tokens', [side], counts)),
    ];
  };
  return [
    `# Data: ${data.source}`,
    table(
      ['domain', 'origin', 'licence', 'use'],
      data.domains.map((d) => [d.name, d.origin, d.licence, d.heldOut ? 'held out: probe only' : 'train, validation, probe']),
    ),
    table(
      ['domain', 'documents', 'bytes', 'tokens', 'bytes per token', ...SPLITS.map((s) => `${s} tokens`)],
      [...data.domains.map((d, i) => [d.name, ...sizes([data.counts[i]!])]), ['all', ...sizes(data.counts)]],
    ),
    [
      `- ${number(data.trainRows)} training rows of ${data.length} tokens an epoch; each document ends in \`</s>\`.`,
      `- ${number(data.nearDuplicates)} documents resemble an earlier one (min-hash of character shingles) and are on its side of the split.`,
      `- Hash of tokens and sides: \`${data.hash}\`.`,
    ].join('\n'),
    '',
  ].join('\n\n');
}
