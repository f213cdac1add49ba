/**
 * Compares tokenizers with the official libraries on every line of a corpus, times both, and writes the tables in docs/fidelity.md.
 * npx tsx tools/tokenizer-fidelity.ts [equality | speed] FILE… ; rows of files that are not named stay. EVERY=n takes each n-th line.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Tokenizer as HuggingFace } from 'tokenizers';
import { loadTokenizer, type Encoding, type Tokenizer } from '../src/text/index.ts';
import { encodeWorkers } from '../src/bench/encode-workers.node.ts';
import { sharedCorpus, withoutMark } from '../test/tokenizer-texts.ts';

const DOCUMENT = 'docs/fidelity.md';
const [BEGIN, END] = ['<!-- tokenizers: npx tsx tools/tokenizer-fidelity.ts -->', '<!-- /tokenizers -->'];
const HEAD = `## Tokenizers

Lines of the shared corpus, encoded and decoded by the official library and here; with \`EVERY=n\` each n-th, else all. \`differ\`: lines with other
ids, other offsets, another decoded text. Speeds in MB/s of the same lines, one after the other on one thread; ×2: two workers, times faster than one, ids compared.

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
const seconds = async (run: () => unknown): Promise<number> => {
  const from = performance.now();
  await run();
  return (performance.now() - from) / 1000;
};

interface Pair {
  readonly file: Uint8Array;
  readonly ours: Tokenizer;
  readonly official: Official;
}

/** Speeds are measured on so many characters. */
const TIMED = 6_000_000;

/** Cells of a row after the name: library, lines, MB, three counts; speeds are three more. */
async function equality({ official, ours }: Pair, lines: readonly string[]): Promise<string[]> {
  const differ = { ids: 0, offsets: 0, texts: 0 };
  for (const line of lines) {
    const want = official.encoding ? await official.encoding(line) : { ids: await official.ids(line), offsets: undefined };
    const got = want.offsets ? ours.encodeWithOffsets(line) : { ids: ours.encode(line), offsets: undefined };
    if (!equal(got.ids, want.ids)) differ.ids++;
    if (want.offsets && !equal(got.offsets!.flat(), want.offsets.flat())) differ.offsets++;
    if (want.ids.length > 0 && withoutMark(ours.decode(want.ids)) !== withoutMark(await official.decode(want.ids))) differ.texts++;
  }
  const size = (Buffer.byteLength(lines.join('')) / 1e6).toFixed(1);
  return [official.library, lines.length, size, differ.ids, official.encoding ? differ.offsets : '–', differ.texts].map(String);
}

async function speed({ file, official, ours }: Pair, lines: readonly string[]): Promise<string[]> {
  const stride = Math.ceil(lines.reduce((n, line) => n + line.length, 0) / TIMED);
  const sample = lines.filter((_, i) => i % stride === 0);
  const mb = Buffer.byteLength(sample.join('')) / 1e6;
  const theirs = await seconds(async () => {
    for (const line of sample) await official.ids(line);
  });
  const here = await fastest(() => sample.map((line) => ours.encode(line)));
  const two = availableParallelism() > 1 ? (here / (await onWorkers(file, sample, (line) => ours.encode(line)))).toFixed(2) : '–';
  return [(mb / theirs).toFixed(1), (mb / here).toFixed(1), two];
}

/** Of three times. */
async function fastest(run: () => unknown): Promise<number> {
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

/** Puts a row into the section, in the place of the row of the same tokenizer; what was not measured stays. */
function write(name: string, measured: { readonly equality?: readonly string[]; readonly speed?: readonly string[] }): void {
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '# Fidelity\n';
  const [before = '', rest = ''] = document.split(BEGIN);
  const [old = '', after = ''] = rest.split(END);
  const cellsOf = (row: string): string[] =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const rows = new Map(
    old
      .split('\n')
      .filter((l) => /^\| \S+\.(model|json) /.test(l))
      .map((row) => [cellsOf(row)[0]!, cellsOf(row).slice(1)]),
  );
  const known = rows.get(name) ?? Array.from({ length: 9 }, () => '–');
  rows.set(name, [...(measured.equality ?? known.slice(0, 6)), ...(measured.speed ?? known.slice(6))]);
  const table = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([first, cells]) => `| ${[first, ...cells].join(' | ')} |`);
  const section = `${BEGIN}\n\n${HEAD}\n${table.join('\n')}\n\n${END}\n`;
  writeFileSync(DOCUMENT, `${before.trimEnd()}\n\n${section}${after.trimStart() && `\n${after.trimStart()}`}`);
}

const every = Number(process.env['EVERY'] ?? 1);
const lines = [...sharedCorpus()].flatMap((text) => text.split('\n')).filter((line, i) => line !== '' && i % every === 0);
const [first = '', ...others] = process.argv.slice(2);
const only = first === 'equality' || first === 'speed' ? first : undefined;
for (const path of only ? others : [first, ...others]) {
  const raw = readFileSync(path);
  const file = new Uint8Array(path.endsWith('.gz') ? gunzipSync(raw) : raw);
  const pair = { file, ours: loadTokenizer(file), official: file[0] === 0x7b ? huggingFace(file) : await sentencePiece(file) };
  const measured = {
    ...(only !== 'speed' && { equality: await equality(pair, lines) }),
    ...(only !== 'equality' && { speed: await speed(pair, lines) }),
  };
  console.log(basename(path), measured);
  write(basename(path, '.gz'), measured);
}
