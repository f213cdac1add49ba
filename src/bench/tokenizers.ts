/** Training of tokenizers, and text to ids: on as much text, as many pieces and with the options of the peers. */
import { sampleTexts, type Source } from '../data/index.ts';
import type { MachineExecutor } from '../infer/index.ts';
import { loadTokenizer, TRAINER_DEFAULTS, trainBpe, trainPieces, writeSentencePieceModel } from '../text/index.ts';
import { encodeWorkers } from './encode-workers.node.ts';
import { limits, measure, type Measured, type Probing } from './measure.ts';
import { row, type Row } from './row.ts';

const [TRAINED, ENCODED] = [24_000_000, 6_000_000];
const VOCABS = [8000, 32_000] as const;
const LARGEST = VOCABS[1];
const SECONDS = 3;
const THREADS = [1, 2] as const;

/** Trains a tokenizer; returns its file. */
type Train = (texts: readonly string[], vocabSize: number) => Promise<Uint8Array>;

/** As SentencePiece with the peers' options. */
const pieces =
  (kind: 'unigram' | 'bpe'): Train =>
  async (texts, vocabSize) => {
    const tidy = { normalizationRuleName: 'identity', removeExtraWhitespaces: false, byteFallback: true, maxSentenceLength: 8192 } as const;
    const options = { ...TRAINER_DEFAULTS, ...tidy, vocabSize };
    return writeSentencePieceModel((await trainPieces(kind, texts.map(shortLines), { options })).model, options);
  };

/** Peers cut lines at 1000 characters. */
const shortLines = (text: string): string => text.replaceAll(/(.{500,1000}) /g, '$1\n');

const KINDS: readonly { readonly name: string; readonly like?: string; readonly train: Train }[] = [
  { name: 'Unigram', like: 'unigram', train: pieces('unigram') },
  { name: 'BPE', like: 'bpe', train: pieces('bpe') },
  {
    name: 'byte-level BPE',
    train: async (texts, vocabSize) => new TextEncoder().encode(JSON.stringify(await trainBpe(texts, { vocabSize }))),
  },
];

const trainingTitle = (name: string, vocab: number): string => `${name} training ${vocab}`;
const encodingTitle = (name: string): string => `${name} encoding ${LARGEST}`;

/** Names: what a filter is looked for in. */
export const tokenizerTitles = (): readonly string[] =>
  KINDS.flatMap(({ name }) => [...VOCABS.map((vocab) => trainingTitle(name, vocab)), encodingTitle(name)]);

/** Measures what contains `filter`, on the documents of a source, at most as many as the peers take. */
export async function* benchTokenizers(executor: MachineExecutor, source: Source, filter: string): AsyncGenerator<Row> {
  const texts = await sampleTexts(source, TRAINED);
  const wanted = (title: string): boolean => title.includes(filter);
  for (const { name, like, train } of KINDS) {
    const encodes = wanted(encodingTitle(name));
    for (const vocab of VOCABS) {
      const title = trainingTitle(name, vocab);
      // The largest one encodes.
      if (!wanted(title) && !(vocab === LARGEST && encodes)) continue;
      const { file, measured } = await training(executor, () => train(texts, vocab));
      const named = { name: `${name} training`, shape: `${vocab}`, dtype: 'text', threads: 1 } as const;
      const peers = like ? { like: { name: 'tokenizer_training', kind: like, vocab } } : {};
      const done = row({ ...named, ...peers }, measured, bytesRead(texts));
      if (wanted(title)) yield { ...done, mb_per_s: bytesOf(texts) / measured.median_s / 1e6 };
      if (vocab === LARGEST && encodes) yield* encoding(executor, { name, like, file }, await sampleTexts(source, ENCODED));
    }
  }
}

const encoder = new TextEncoder();
const bytesOf = (texts: readonly string[]): number => texts.reduce((n, text) => n + encoder.encode(text).length, 0);
const bytesRead = (texts: readonly string[]) => ({ flops: 0, read: bytesOf(texts), written: 0 });
const PROBING: Probing = { precision: 'f32' };

/** Once: it takes long enough. */
async function training(executor: MachineExecutor, train: () => Promise<Uint8Array>): Promise<{ file: Uint8Array; measured: Measured }> {
  const from = performance.now();
  const file = await train();
  const seconds = (performance.now() - from) / 1000;
  const times = { runs: 1, median_s: seconds, min_s: seconds, max_s: seconds };
  return { file, measured: { ...times, limits: limits(executor, PROBING) } };
}

interface Encodes {
  readonly name: string;
  readonly like: string | undefined;
  readonly file: Uint8Array;
}

/** One document after the other on this thread, then shared out among workers. */
async function* encoding(executor: MachineExecutor, { name, like, file }: Encodes, texts: readonly string[]): AsyncGenerator<Row> {
  const tokenizer = loadTokenizer(file);
  for (const threads of THREADS) {
    const workers = threads > 1 ? encodeWorkers(file, threads) : undefined;
    let tokens = 0;
    const run = async (): Promise<void> => {
      const ids = workers ? await workers.encode(texts) : texts.map((text) => tokenizer.encode(text));
      tokens = ids.reduce((n, list) => n + list.length, 0);
    };
    const measured = await measure(executor, run, { seconds: SECONDS, ...PROBING });
    await workers?.close();
    const way = threads > 1 ? 'batch' : 'one by one';
    const peers = like ? { like: { name: 'encode', kind: like, vocab: LARGEST, way } } : {};
    const done = row({ name: `${name} encoding`, shape: `${LARGEST}`, dtype: 'text', threads, ...peers }, measured, bytesRead(texts));
    yield { ...done, mb_per_s: bytesOf(texts) / measured.median_s / 1e6, tok_per_s: tokens / measured.median_s };
  }
}
