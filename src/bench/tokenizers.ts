/** Training of tokenizers, and text to ids: on as much text and as many pieces as the peers. */
import { sampleTexts, type Source } from '../data/index.ts';
import type { MachineExecutor } from '../infer/index.ts';
import { type Tokenizer, trainBpe } from '../text/index.ts';
import { limits, measure, type Measured, type Probing } from './measure.ts';
import { row, type Row } from './row.ts';

const [TRAINED, ENCODED] = [24_000_000, 6_000_000];
const VOCABS = [8000, 32_000] as const;
const SECONDS = 3;

/** Names: what a filter is looked for in. */
export const tokenizerTitles = (): readonly string[] => [
  ...VOCABS.map((vocab) => `BPE training ${vocab}`),
  `BPE encoding ${VOCABS.at(-1)}`,
];

/** Measures what contains `filter`, on the documents of a source, at most as many as the peers take. */
export async function* benchTokenizers(executor: MachineExecutor, source: Source, filter: string): AsyncGenerator<Row> {
  const titles = tokenizerTitles();
  const texts = await sampleTexts(source, TRAINED);
  const wanted = (title: string): boolean => title.includes(filter);
  let last: Tokenizer | undefined;
  for (const [n, vocab] of VOCABS.entries()) {
    // The last one encodes.
    if (!wanted(titles[n]!) && !(n === VOCABS.length - 1 && wanted(titles.at(-1)!))) continue;
    const { tokenizer, measured } = await training(executor, texts, vocab);
    last = tokenizer;
    const named = { name: 'BPE training', shape: `${vocab}`, dtype: 'text', threads: executor.facts.threads } as const;
    const done = row({ ...named, like: { name: 'tokenizer_training', kind: 'bpe', vocab } }, measured, bytesRead(texts));
    if (wanted(titles[n]!)) yield { ...done, mb_per_s: bytesOf(texts) / measured.median_s / 1e6 };
  }
  if (last && wanted(titles.at(-1)!)) yield encoding(executor, last, await sampleTexts(source, ENCODED));
}

const encoder = new TextEncoder();
const bytesOf = (texts: readonly string[]): number => texts.reduce((n, text) => n + encoder.encode(text).length, 0);
const bytesRead = (texts: readonly string[]) => ({ flops: 0, read: bytesOf(texts), written: 0 });
const PROBING: Probing = { precision: 'f32' };

/** Once: it takes long enough. */
async function training(
  executor: MachineExecutor,
  texts: readonly string[],
  vocabSize: number,
): Promise<{ tokenizer: Tokenizer; measured: Measured }> {
  const from = performance.now();
  const tokenizer = await trainBpe(texts, { vocabSize });
  const seconds = (performance.now() - from) / 1000;
  const times = { runs: 1, median_s: seconds, min_s: seconds, max_s: seconds };
  return { tokenizer, measured: { ...times, limits: limits(executor, PROBING) } };
}

/** One document after the other, on one thread. */
async function encoding(executor: MachineExecutor, tokenizer: Tokenizer, texts: readonly string[]): Promise<Row> {
  let tokens = 0;
  const run = async (): Promise<void> => void (tokens = texts.reduce((n, text) => n + tokenizer.encode(text).length, 0));
  const measured = await measure(executor, run, { seconds: SECONDS, ...PROBING });
  const vocab = VOCABS.at(-1)!;
  const like = { name: 'encode', kind: 'bpe', vocab, way: 'one by one' };
  const done = row({ name: 'BPE encoding', shape: `${vocab}`, dtype: 'text', threads: 1, like }, measured, bytesRead(texts));
  return { ...done, mb_per_s: bytesOf(texts) / measured.median_s / 1e6, tok_per_s: tokens / measured.median_s };
}
