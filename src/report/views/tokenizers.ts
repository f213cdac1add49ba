/** Tokenizers side by side: how finely each cuts the texts of each domain and language, and how much of its vocabulary it uses. */
import { formatCount, inColumns } from '../../base/index.ts';
import { type Fertility, sumOf } from '../../text/index.ts';
import { fertilityChart, type FertilityRow, per } from '../charts/fertility.ts';
import { unseen } from '../html.ts';
import { decimal, percent } from '../numbers.ts';
import { type View, viewOf } from './view.ts';

export interface ComparedTokenizer {
  readonly tokenizer: string;
  readonly pieces: number;
  /** Pieces that occurred. */
  readonly used: number;
}

/** Rows of one domain and language stand together, tokenizers in their order. */
export function tokenizersView(rows: readonly FertilityRow[], tokenizers: readonly ComparedTokenizer[]): View {
  const vocabularies = tokenizers.map((t) => ({ ...t, share_used: t.used / t.pieces }));
  return viewOf(`${fertilityTable(rows, tokenizers)}\n${vocabularyTable(vocabularies)}`, fertilityChart(rows), {
    tokenizers: vocabularies,
  });
}

function fertilityTable(rows: readonly FertilityRow[], tokenizers: readonly ComparedTokenizer[]): string {
  const totals = tokenizers.map(({ tokenizer }) => ({
    tokenizer,
    domain: 'all',
    language: '',
    fertility: sumOf(rows.filter((row) => row.tokenizer === tokenizer).map((row) => row.fertility)),
  }));
  const shown = [...rows, ...totals];
  const cells = shown.map((row, i) => {
    const before = shown[i - 1];
    const again = before?.domain === row.domain && before.language === row.language;
    return [
      ...(again ? ['', '', ''] : [unseen(row.domain), unseen(row.language), formatCount(row.fertility.bytes)]),
      unseen(row.tokenizer),
      ...numbers(row.fertility),
    ];
  });
  const head = ['domain', 'language', 'bytes', 'tokenizer', 'bytes/token', 'tokens/word', 'unknown', 'bytes as tokens'];
  return inColumns([head, ...cells], { right: [2, 4, 5, 6, 7] });
}

const numbers = (f: Fertility): string[] => [
  decimal(per(f.bytes, f.tokens)),
  decimal(per(f.tokens, f.words)),
  percent(per(f.unknown, f.tokens)),
  percent(per(f.byteFallback, f.tokens)),
];

const vocabularyTable = (tokenizers: readonly (ComparedTokenizer & { readonly share_used: number })[]): string =>
  inColumns([['tokenizer', 'pieces', 'used'], ...tokenizers.map((t) => [unseen(t.tokenizer), String(t.pieces), percent(t.share_used)])], {
    right: [1, 2],
  });
