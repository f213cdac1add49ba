/** openmoe tokenizer: trains byte-level BPE tokenizers, and shows what they do to a text. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, formatCount, UserError, inColumns } from '../../base/index.ts';
import { folder, starterCorpus } from '../../data/index.ts';
import { findRun, writeAtomic } from '../../runs/index.ts';
import { loadTokenizer, type Tokenizer } from '../../text/index.ts';
import { trainTokenizer } from '../../train/index.ts';
import { command, type Group, optional, parseText, parseWithin, required, rest, valueOr } from '../command.ts';
import { wholeInput } from '../input.ts';
import { runsRoot, shownPath } from '../surroundings.ts';
import type { Terminal } from '../terminal.ts';

const WHICH = 'a tokenizer.json, a folder with one, or a run';

const train = command({
  about: 'Trains a byte-level BPE tokenizer and writes it as a Hugging Face tokenizer.json',
  examples: ['tokenizer train starter', 'tokenizer train texts --vocab 16k --out texts.json'],
  args: { source: required('starter, or a folder of .txt, .jsonl or .jsonl.gz files') },
  flags: {
    vocab: valueOr({ form: '<n>', about: 'pieces', parse: parseWithin(1, 1_000_000), standard: '8k' }),
    out: valueOr({ form: '<file>', about: 'where to write it', parse: parseText, standard: 'tokenizer.json' }),
  },
  async run({ args: { source }, flags: { vocab, out }, terminal }) {
    if (await exists(out))
      throw new UserError('E_FILE_EXISTS', EXIT.usage, { message: 'there is such a file', place: out, hint: 'choose another with --out' });
    const reading = source === 'starter' ? starterCorpus() : await folder(source);
    const started = performance.now();
    const tokenizer = await trainTokenizer(reading, vocab);
    await writeAtomic(out, JSON.stringify(tokenizer.toJSON()));
    const data = { file: out, pieces: tokenizer.vocabSize, seconds: (performance.now() - started) / 1000 };
    if (data.pieces < vocab)
      terminal.say(`${data.pieces} pieces instead of ${vocab}: after those, no pair of pieces occurs twice in the text`);
    return { schema: 'openmoe.tokenizer-train/1', data, text: `${data.pieces} pieces in ${data.seconds.toFixed(1)} s: ${out}\n` };
  },
});

const encode = command({
  about: 'Prints the ids of a text',
  examples: ["tokenizer encode last 'The quick brown fox'", 'tokenizer encode tokenizer.json --json < README.md'],
  args: { tokenizer: required(WHICH), text: optional('the text (default: standard input)') },
  async run({ args, terminal }) {
    const tokenizer = await tokenizerOf(args.tokenizer, terminal);
    const ids = tokenizer.encode(args.text ?? (await wholeInput(terminal.input)));
    const data = { ids, pieces: ids.map((id) => tokenizer.pieceOf(id)) };
    return { schema: 'openmoe.tokenizer-encode/1', data, text: `${ids.join(' ')}\n` };
  },
});

const decode = command({
  about: 'Prints the text of ids',
  examples: ['tokenizer decode last 54 303 17', 'tokenizer decode last < ids.txt'],
  args: { tokenizer: required(WHICH), ids: rest('the ids (default: standard input)') },
  async run({ args, terminal }) {
    const tokenizer = await tokenizerOf(args.tokenizer, terminal);
    const words = args.ids.length > 0 ? args.ids : (await wholeInput(terminal.input)).split(/[\s,[\]]+/).filter(Boolean);
    const ids = idsOf(words, tokenizer);
    const text = tokenizer.decode(ids);
    // Exact bytes for a pipe; for a person the prompt comes on a line of its own.
    return { schema: 'openmoe.tokenizer-decode/1', data: { ids, text }, text: terminal.out.isTTY ? `${text}\n` : text };
  },
});

const info = command({
  about: 'Says what a tokenizer consists of',
  examples: ['tokenizer info last', 'tokenizer info tokenizer.json --json'],
  args: { tokenizer: required(WHICH) },
  async run({ args, terminal }) {
    const tokenizer = await tokenizerOf(args.tokenizer, terminal);
    const { bos, eos, vocabSize } = tokenizer;
    const all = Array.from({ length: vocabSize }, (_, id) => id);
    const bytes = (id: number): number => tokenizer.bytesOf(id).length;
    const longest = all
      .toSorted((a, b) => bytes(b) - bytes(a) || a - b)
      .slice(0, LONGEST)
      .map((id) => ({ id, piece: tokenizer.pieceOf(id) }));
    const merged = all.filter((id) => bytes(id) > 1);
    const data = {
      pieces: vocabSize,
      bos,
      eos,
      merges: merged.length,
      mean_bytes: merged.reduce((n, id) => n + bytes(id), 0) / (merged.length || 1),
      longest,
    };
    const rows = [
      ['pieces', `${vocabSize} (${formatCount(vocabSize)})`],
      ['specials', [bos, eos].flatMap((id) => (id === undefined ? [] : `${id} ${tokenizer.pieceOf(id)}`)).join(', ')],
      ['merges', `${merged.length}, ${data.mean_bytes.toFixed(2)} bytes each on average`],
      ['longest', longest.map(({ piece }) => piece).join('  ')],
    ];
    return { schema: 'openmoe.tokenizer-info/1', data, text: inColumns(rows) };
  },
});

const LONGEST = 8;

export const tokenizer: Group = {
  about: 'Trains tokenizers, and shows what they do to a text',
  examples: ['tokenizer train starter --vocab 8k', "tokenizer encode last 'The quick brown fox'", 'tokenizer info last'],
  entries: Object.fromEntries(
    Object.entries({ train, encode, decode, info }).map(([name, verb]) => [name, { about: verb.about, load: () => Promise.resolve(verb) }]),
  ),
};

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** Throws UserError E_RUN_UNKNOWN (not found) or E_TOKENIZER (damaged). */
async function tokenizerOf(ref: string, terminal: Terminal): Promise<Tokenizer> {
  const path = await pathOf(ref, terminal);
  const text = await readFile(path, 'utf8').catch(() => {
    throw new UserError('E_TOKENIZER_UNKNOWN', EXIT.notFound, { message: 'there is no tokenizer', place: shownPath(path), hint: WHICH });
  });
  try {
    return loadTokenizer(JSON.parse(text));
  } catch (error) {
    if (error instanceof UserError)
      throw new UserError(
        error.code,
        error.exit,
        error.problems.map((p) => ({ ...p, place: [shownPath(path), p.place].filter(Boolean).join(', ') })),
      );
    throw new UserError('E_TOKENIZER', EXIT.damaged, { message: `not JSON: ${(error as Error).message}`, place: shownPath(path) });
  }
}

async function pathOf(ref: string, { env }: Terminal): Promise<string> {
  if (await isFile(ref)) return ref;
  if (await isFile(join(ref, 'tokenizer.json'))) return join(ref, 'tokenizer.json');
  if (ref.endsWith('.json')) return ref;
  return join((await findRun(ref, runsRoot(env))).dir, 'tokenizer.json');
}

function idsOf(words: readonly string[], { vocabSize }: Tokenizer): number[] {
  const odd = words.filter((word) => !/^\d{1,9}$/.test(word) || Number(word) >= vocabSize);
  if (odd.length > 0)
    throw new UserError(
      'E_TOKEN_ID',
      EXIT.usage,
      odd.slice(0, 5).map((word) => ({ message: `${word} is not a token id`, hint: `ids are whole numbers from 0 to ${vocabSize - 1}` })),
    );
  return words.map(Number);
}
