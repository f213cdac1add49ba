/** Bytes a token by domain and language, a dot for each tokenizer. */
import * as Plot from '@observablehq/plot';
import type { Fertility } from '../../text/index.ts';
import { chart, type Chart } from '../chart.ts';
import { decimal } from '../numbers.ts';
import type { Cell } from '../table.ts';
import { INK, LINE, seriesColour } from '../theme.ts';
import { shortened } from './domain-loss.ts';

/** What one tokenizer does to the texts of one domain in one language. */
export interface FertilityRow {
  readonly tokenizer: string;
  readonly domain: string;
  /** Empty where it is not known. */
  readonly language: string;
  readonly fertility: Fertility;
}

export const groupName = ({ domain, language }: Pick<FertilityRow, 'domain' | 'language'>): string =>
  language === '' ? domain : `${domain} ${language}`;

/** NaN where there is nothing to divide by. */
export const per = (amount: number, of: number): number => (of > 0 ? amount / of : NaN);

/** Characters of a group's name that have room, and what each takes. */
const NAME = 22;
const ADVANCE = 6;
const SYMBOLS = ['circle', 'square', 'triangle', 'diamond', 'cross', 'star'] as const;

const COLUMNS =
  'tokenizer domain language documents bytes words tokens bytes_per_token tokens_per_word unknown_rate byte_fallback_rate'.split(' ');

const cellsOf = ({ tokenizer, domain, language, fertility: f }: FertilityRow): Cell[] => [
  tokenizer,
  domain,
  language,
  f.documents,
  f.bytes,
  f.words,
  f.tokens,
  per(f.bytes, f.tokens),
  per(f.tokens, f.words),
  per(f.unknown, f.tokens),
  per(f.byteFallback, f.tokens),
];

export function fertilityChart(rows: readonly FertilityRow[]): Chart {
  const tokenizers = [...new Set(rows.map((row) => row.tokenizer))];
  const groups = [...new Set(rows.map(groupName))];
  const points = rows.map((row) => ({
    group: groupName(row),
    bytes: per(row.fertility.bytes, row.fertility.tokens),
    series: tokenizers.indexOf(row.tokenizer),
  }));
  return chart({
    title: 'Bytes per token',
    description: `Bytes of UTF-8 that a token stands for on average, by domain and language; more is shorter. ${tokenizers.length} tokenizers.`,
    spoken: `${rows.map((row) => `${row.tokenizer}, ${groupName(row)}: ${decimal(per(row.fertility.bytes, row.fertility.tokens))}`).join('; ')}.`,
    data: { columns: COLUMNS, rows: rows.map(cellsOf) },
    legend: tokenizers.map((label, i) => ({ label: shortened(label), colour: seriesColour(i), mark: 'dot' as const })),
    plot: {
      height: 48 + 22 * groups.length,
      marginLeft: 20 + ADVANCE * Math.min(NAME, Math.max(...groups.map(({ length }) => length))),
      marginRight: 16,
      x: { label: 'bytes per token', grid: true, ticks: 5, zero: true },
      y: { label: null, domain: groups, tickFormat: (name: string) => shortened(name, NAME) },
      symbol: { type: 'identity' },
      marks: [
        Plot.ruleY(groups, { stroke: LINE }),
        Plot.dot(
          points.filter(({ bytes }) => Number.isFinite(bytes)),
          {
            x: 'bytes',
            y: 'group',
            fill: ({ series }: { series: number }) => seriesColour(series),
            symbol: ({ series }: { series: number }) => SYMBOLS[series % SYMBOLS.length],
            stroke: INK,
            strokeWidth: 0.4,
            r: 4,
          },
        ),
      ],
    },
  });
}
