/**
 * Compares tokenizers with the official libraries on every line of a corpus, times both, and writes the tables in docs/fidelity.md.
 * npx tsx tools/tokenizer-fidelity.ts FILE… ; rows of files that are not named stay.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Tokenizer as HuggingFace } from 'tokenizers';
import { loadTokenizer, type Encoding } from '../src/text/index.ts';
import { encodeWorkers } from '../src/bench/encode-workers.node.ts';
import { sharedCorpus } from '../test/tokenizer-texts.ts';

const DOCUMENT = 'docs/fidelity.md';
const [BEGIN, END] = ['<!-- tokenizers: npx tsx tools/tokenizer-fidelity.ts -->', '<!-- /tokenizers -->'];
const HEAD = `## Tokenizers

Every line of the shared corpus, encoded and decoded by the official library and here. \`differ\`: lines with other ids, other offsets, another
decoded text. Speeds in MB/s of the same lines, one after the other on one thread; ×2: two workers, times faster than one, ids compared.

| tokenizer | official library | lines | MB | ids differ | offsets differ | texts differ | official MB/s | here MB/s | ×2 |
|---|---|---|---|---|---|---|---|---|---|`;

interface Official {
  readonly library: string;
  ids(text: string): Promise<number[]> | number[];
  /** Undefined where the library has none. */
  encoding?(text: string): Promise<Encoding>;
  decode(ids: number[]): Promise<string> | string;
}

interface SentencePiece {
  load(file: string): Promise<void>;
  encodeIds(text: string): number[];
  decodeIds(ids: number[]): string;
}

async function sentencePiece(file: Uint8Array): Promise<Official> {
  const { SentencePieceProcessor } = createRequire(import.meta.url)('@agnai/sentencepiece-js') as {
    SentencePieceProcessor: new () => SentencePiece;
  };
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-fidelity-'));
  writeFileSync(join(folder, 'model'), file);
  const processor = new SentencePieceProcessor();
  await processor.load(join(folder, 'model'));
  rmSync(folder, { recursive: true });
  return { library: 'sentencepiece-js', ids: (text) => processor.encodeIds(text), decode: (ids) => processor.decodeIds(ids) };
}

function huggingFace(file: Uint8Array): Official {
  const tokenizer = HuggingFace.fromString(new TextDecoder().decode(file));
  const encode = (text: string) => tokenizer.encode(text, null, { addSpecialTokens: false });
  return {
    library: 'tokenizers',
    ids: async (text) => (await encode(text)).getIds(),
    async encoding(text) {
      const encoding = await encode(text);
      return { ids: encoding.getIds(), offsets: encoding.getOffsets() as [number, number][] };
    },
    decode: (ids) => tokenizer.decode(ids, true),
  };
}

const equal = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.prototype.every.call(a, (x, i) => x === b[i]);
const seconds = async (run: () => Promise<unknown> | unknown): Promise<number> => {
  const from = performance.now();
  await run();
  return (performance.now() - from) / 1000;
};

/** Speeds are measured on so many characters. */
const TIMED = 6_000_000;

async function compare(path: string, lines: readonly string[]): Promise<string> {
  const raw = readFileSync(path);
  const file = new Uint8Array(path.endsWith('.gz') ? gunzipSync(raw) : raw);
  const ours = loadTokenizer(file);
  const official = file[0] === 0x7b ? huggingFace(file) : await sentencePiece(file);
  const differ = { ids: 0, offsets: 0, texts: 0 };
  for (const line of lines) {
    const want = official.encoding ? await official.encoding(line) : { ids: await official.ids(line), offsets: undefined };
    const got = want.offsets ? ours.encodeWithOffsets(line) : { ids: ours.encode(line), offsets: undefined };
    if (!equal(got.ids, want.ids)) differ.ids++;
    if (want.offsets && !equal(got.offsets!.flat(), want.offsets.flat())) differ.offsets++;
    if (want.ids.length > 0 && ours.decode(want.ids) !== (await official.decode(want.ids))) differ.texts++;
  }
  const stride = Math.ceil(lines.reduce((n, line) => n + line.length, 0) / TIMED);
  const sample = lines.filter((_, i) => i % stride === 0);
  const mb = Buffer.byteLength(sample.join('')) / 1e6;
  const theirs = await seconds(async () => {
    for (const line of sample) await official.ids(line);
  });
  const here = await fastest(() => sample.map((line) => ours.encode(line)));
  const two = await onWorkers(file, sample, (line) => ours.encode(line));
  const size = (Buffer.byteLength(lines.join('')) / 1e6).toFixed(1);
  const counts = [differ.ids, official.encoding ? differ.offsets : '–', differ.texts];
  const speeds = [(mb / theirs).toFixed(1), (mb / here).toFixed(1), (here / two).toFixed(2)];
  return `| ${[basename(path, '.gz'), official.library, lines.length, size, ...counts, ...speeds].join(' | ')} |`;
}

/** Of three times. */
async function fastest(run: () => Promise<unknown> | unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) times.push(await seconds(run));
  return Math.min(...times);
}

async function onWorkers(file: Uint8Array, sample: readonly string[], encode: (line: string) => number[]): Promise<number> {
  const workers = encodeWorkers(file, 2);
  const ids = await workers.encode(sample);
  if (!ids.every((list, i) => equal(list, encode(sample[i]!)))) throw new Error('two workers give other ids than one thread');
  const time = await fastest(() => workers.encode(sample));
  await workers.close();
  return time;
}

/** Puts rows into the section, each in the place of the row of the same tokenizer. */
function write(rows: readonly string[]): void {
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '# Fidelity\n';
  const [before = '', rest = ''] = document.split(BEGIN);
  const [old = '', after = ''] = rest.split(END);
  const nameOf = (row: string): string => row.split('|')[1]!.trim();
  const kept = new Map(
    old
      .split('\n')
      .filter((l) => /^\| \S+\.(model|json) /.test(l))
      .map((row) => [nameOf(row), row]),
  );
  for (const row of rows) kept.set(nameOf(row), row);
  const table = [...kept].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  writeFileSync(
    DOCUMENT,
    `${before.trimEnd()}\n\n${BEGIN}\n\n${HEAD}\n${table.join('\n')}\n\n${END}\n${after.trimStart() && `\n${after.trimStart()}`}`,
  );
}

const every = Number(process.env['EVERY'] ?? 1);
const lines = [...sharedCorpus()].flatMap((text) => text.split('\n')).filter((line, i) => line !== '' && i % every === 0);
for (const path of process.argv.slice(2)) {
  const row = await compare(path, lines);
  console.log(row);
  write([row]);
}
