/** openmoe tokenizer: trains tokenizers, compares them, and shows what they do to a text. */
import { EXIT, formatCount, UserError, inColumns } from '../../base/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { command, type Group, optional, required, rest } from '../command.ts';
import { wholeInput } from '../input.ts';
import { TOKENIZER_FORMS, tokenizerOf } from '../tokenizer-reference.ts';
import { compare } from './tokenizer-compare.ts';
import { train } from './tokenizer-train.ts';

const encode = command({
  about: 'Prints the ids of a text',
  examples: ["tokenizer encode last 'The quick brown fox'", 'tokenizer encode tokenizer.json --json < README.md'],
  args: { tokenizer: required(TOKENIZER_FORMS), text: optional('the text (default: standard input)') },
  async run({ args, terminal }) {
    const tokenizer = await tokenizerOf(args.tokenizer, terminal);
    const { ids, offsets } = tokenizer.encodeWithOffsets(args.text ?? (await wholeInput(terminal.input)));
    const data = { ids, pieces: ids.map((id) => tokenizer.pieceOf(id)), offsets };
    return { schema: 'openmoe.tokenizer-encode/1', data, text: `${ids.join(' ')}\n` };
  },
});

const decode = command({
  about: 'Prints the text of ids',
  examples: ['tokenizer decode last 54 303 17', 'tokenizer decode last < ids.txt'],
  args: { tokenizer: required(TOKENIZER_FORMS), ids: rest('the ids (default: standard input)') },
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
  args: { tokenizer: required(TOKENIZER_FORMS) },
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
  about: 'Trains tokenizers, compares them, and shows what they do to a text',
  examples: ['tokenizer train starter --vocab 8k', "tokenizer encode last 'The quick brown fox'", 'tokenizer info last'],
  entries: Object.fromEntries(
    Object.entries({ train, compare, encode, decode, info }).map(([name, verb]) => [
      name,
      { about: verb.about, load: () => Promise.resolve(verb) },
    ]),
  ),
};

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
