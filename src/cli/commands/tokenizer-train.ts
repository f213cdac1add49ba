/** openmoe tokenizer train: byte-level BPE, or Unigram and BPE as SentencePiece trains them. */
import { stat } from 'node:fs/promises';
import { EXIT, formatCount, formatDuration, UserError } from '../../base/index.ts';
import type { Source } from '../../data/index.ts';
import { writeAtomic } from '../../runs/index.ts';
import {
  checkRanges,
  NORMALIZATIONS,
  sentencePieceJson,
  TRAINER_DEFAULTS,
  type TrainerOptions,
  trainPieces,
  writeSentencePieceModel,
} from '../../text/index.ts';
import { trainTokenizer } from '../../train/index.ts';
import {
  type Answer,
  command,
  type Flag,
  parseReal,
  parseText,
  parseWithin,
  parseWord,
  rest,
  trueOrFalse,
  value,
  valueOr,
  values,
} from '../command.ts';
import { kebab } from '../parse.ts';
import type { Terminal } from '../terminal.ts';
import { TEXT_FORMS, textSource, trainedTexts } from '../text-source.ts';

const KINDS = ['byte-bpe', 'unigram', 'bpe'] as const;

const count = (about: string, [least, most]: readonly [number, number]) => value({ form: '<n>', about, parse: parseWithin(least, most) });
const share = (about: string, [least, most]: readonly [number, number]) => value({ form: '<x>', about, parse: parseReal(least, most) });
const id = (about: string) =>
  value({ form: '<id>', about, parse: (text, place) => (text === '-1' ? -1 : parseWithin(0, 4_000_000)(text, place)) });
const name = (about: string) => value({ form: '<text>', about, parse: parseText });

/** SentencePiece's options in its words; without one, its default. */
const OPTIONS = {
  characterCoverage: share('unigram, bpe: share of all characters that the alphabet covers (default 0.9995)', [0.98, 1]),
  byteFallback: trueOrFalse('write characters outside the alphabet as bytes (default false)'),
  normalizationRuleName: value({
    form: '<name>',
    about: `${NORMALIZATIONS.join(', ')} (default nmt_nfkc)`,
    parse: parseWord(NORMALIZATIONS),
  }),
  addDummyPrefix: trueOrFalse('begin a text with a blank (default true)'),
  removeExtraWhitespaces: trueOrFalse('one blank for many, none at the ends (default true)'),
  splitByWhitespace: trueOrFalse('no piece reaches over a blank (default true)'),
  splitByNumber: trueOrFalse('no piece joins digits with others (default true)'),
  splitByUnicodeScript: trueOrFalse('no piece joins two scripts (default true)'),
  splitDigits: trueOrFalse('every digit is a piece (default false)'),
  treatWhitespaceAsSuffix: trueOrFalse('blanks end words (default false)'),
  allowWhitespaceOnlyPieces: trueOrFalse('pieces may be blanks alone (default false)'),
  maxSentencepieceLength: count('characters of a piece at most (default 16)', [1, 512]),
  maxSentenceLength: count('bytes of a line at most; longer ones are passed over (default 4192)', [10, 1_073_741_824]),
  seedSentencepieceSize: count('unigram: candidates to start from (default 1m)', [1, 4_000_000]),
  shrinkingFactor: share('unigram: share of the pieces that each pruning keeps (default 0.75)', [0.5, 0.95]),
  numSubIterations: count('unigram: steps between two prunings (default 2)', [1, 10]),
  requiredChars: name('characters that the alphabet must have'),
  hardVocabLimit: trueOrFalse('fewer pieces than asked for are an error (default true)'),
  unkId: id('id of the unknown piece (default 0)'),
  bosId: id('id of the piece that begins a text, -1 for none (default 1)'),
  eosId: id('id of the piece that ends a text, -1 for none (default 2)'),
  padId: id('id of the padding, -1 for none (default -1)'),
  unkPiece: name('name of the unknown piece (default <unk>)'),
  bosPiece: name('name of the piece that begins a text (default <s>)'),
  eosPiece: name('name of the piece that ends a text (default </s>)'),
  padPiece: name('name of the padding (default <pad>)'),
  unkSurface: name("what the unknown piece is decoded to (default ' \u2047 ')"),
} satisfies Partial<Record<keyof TrainerOptions, Flag<unknown>>>;

const symbols = (about: string) => values({ form: '<a,b>', about });

export const train = command({
  about: 'Trains a tokenizer: byte-level BPE, or Unigram or BPE with the options of SentencePiece',
  examples: [
    'tokenizer train starter',
    'tokenizer train texts --vocab 16k --out texts.json',
    'tokenizer train texts --kind unigram --vocab 32k --byte-fallback --out texts.model --out texts.json',
    'tokenizer train news.txt --kind bpe --normalization-rule-name identity --remove-extra-whitespaces false --out news.model',
  ],
  args: { sources: rest(TEXT_FORMS) },
  flags: {
    kind: valueOr({ form: '<kind>', about: KINDS.join(', '), parse: parseWord(KINDS), standard: 'byte-bpe' }),
    vocab: valueOr({ form: '<n>', about: 'pieces', parse: parseWithin(1, 4_000_000), standard: '8k' }),
    out: values({
      form: '<file>',
      about: 'where to write it: .json for tokenizer.json, .model for SentencePiece; may be repeated (default tokenizer.json)',
    }),
    ...OPTIONS,
    controlSymbols: symbols('pieces that no text encodes to'),
    userDefinedSymbols: symbols('pieces that are always one, wherever they stand'),
  },
  saves: true,
  streams: true,
  async run({ args: { sources }, flags, terminal, signal }): Promise<Answer> {
    const { kind, vocab } = flags;
    const files = flags.out.length > 0 ? flags.out : ['tokenizer.json'];
    if (sources.length === 0)
      throw new UserError('E_USAGE', EXIT.usage, { message: 'on which texts?', place: 'openmoe tokenizer train', hint: TEXT_FORMS });
    const given = optionsGiven(flags);
    await checkFiles(files, kind, given);
    if (kind === 'byte-bpe') refuseOptions(given);
    const started = performance.now();
    const needs = { source: await textSource(sources), vocab, terminal, signal };
    const trained = kind === 'byte-bpe' ? await byteLevel(needs) : await pieces(kind, given, needs);
    for (const file of files) await writeAtomic(file, file.endsWith('.model') ? trained.model() : JSON.stringify(trained.json()));
    const seconds = (performance.now() - started) / 1000;
    const data = { file: files[0], files, kind, pieces: trained.pieces, seconds, ...trained.facts };
    if (data.pieces < vocab) terminal.say(`${data.pieces} pieces instead of ${vocab}: the text gives no more`);
    return { schema: 'openmoe.tokenizer-train/1', data, text: `${data.pieces} pieces in ${seconds.toFixed(1)} s: ${files.join(', ')}\n` };
  },
});

interface Needs {
  readonly source: Source;
  readonly vocab: number;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

interface Trained {
  readonly pieces: number;
  readonly facts: object;
  json(): object;
  model(): Uint8Array;
}

type Given = Partial<TrainerOptions>;

/** Options that were given on the command line. */
function optionsGiven(flags: Readonly<Record<string, unknown>>): Given {
  const plain = Object.keys(OPTIONS).filter((key) => flags[key] !== undefined);
  const lists = ['controlSymbols', 'userDefinedSymbols'].filter((key) => (flags[key] as readonly string[]).length > 0);
  return Object.fromEntries([
    ...plain.map((key) => [key, flags[key]]),
    ...lists.map((key) => [key, (flags[key] as readonly string[]).flatMap((text) => text.split(','))]),
  ]) as Given;
}

function refuseOptions(given: Given): void {
  const odd = Object.keys(given);
  if (odd.length > 0)
    throw new UserError(
      'E_USAGE',
      EXIT.usage,
      odd.map((key) => ({ message: 'byte-level BPE has no such option', place: `--${kebab(key)}`, hint: 'choose --kind unigram or bpe' })),
    );
}

async function byteLevel({ source, vocab, signal, terminal }: Needs): Promise<Trained> {
  const shown = progressTalk(terminal);
  const tokenizer = await trainTokenizer(source, vocab, {
    signal,
    onProgress: (e) => e.kind === 'tokenizer' && shown('pieces', e.done),
  });
  const model = (): Uint8Array => {
    throw new Error('internal: a byte-level BPE has no .model');
  };
  return { pieces: tokenizer.vocabSize, facts: {}, json: () => tokenizer.toJSON(), model };
}

async function pieces(kind: 'unigram' | 'bpe', given: Given, { source, vocab, terminal, signal }: Needs): Promise<Trained> {
  const options: TrainerOptions = { ...TRAINER_DEFAULTS, ...given, vocabSize: vocab };
  checkRanges(options, (key) => `--${key === 'vocabSize' ? 'vocab' : kebab(key)}`);
  const shown = progressTalk(terminal);
  const { model, ...facts } = await trainPieces(kind, trainedTexts(source), {
    options,
    signal,
    onProgress: ({ phase, done }) => shown(phase, done),
  });
  if (facts.skipped > 0)
    terminal.say(
      `${facts.skipped} of ${facts.lines + facts.skipped} lines were passed over: longer than ${options.maxSentenceLength} bytes, or with U+2585`,
    );
  return {
    pieces: model.pieces.length,
    facts,
    json: () => sentencePieceJson(model),
    model: () => writeSentencePieceModel(model, options),
  };
}

/** Seconds between two lines of talk. */
const TALK = 2;

/** Says how far it is: events for programs, now and then a line for people. */
function progressTalk(terminal: Terminal): (phase: 'count' | 'pieces', done: number) => void {
  const started = performance.now();
  let said = started;
  return (phase, done) => {
    terminal.event({ event: 'progress', phase, done });
    const now = performance.now();
    if (terminal.form !== 'text' || now - said < TALK * 1000) return;
    said = now;
    const what = phase === 'count' ? `${formatCount(done)} characters read` : `${formatCount(done)} pieces`;
    terminal.say(`${formatDuration((now - started) / 1000)}  ${what}`);
  };
}

async function checkFiles(files: readonly string[], kind: (typeof KINDS)[number], given: Given): Promise<void> {
  for (const file of files) {
    const allowed = kind === 'byte-bpe' ? /\.json$/ : /\.(json|model)$/;
    if (!allowed.test(file))
      throw new UserError('E_USAGE', EXIT.usage, {
        message: kind === 'byte-bpe' ? 'a byte-level BPE is written as .json' : 'neither .json nor .model',
        place: `--out ${file}`,
        hint: 'tokenizer.json for Hugging Face, .model for SentencePiece',
      });
    if (given.treatWhitespaceAsSuffix && file.endsWith('.json'))
      throw new UserError('E_TOKENIZER_FORM', EXIT.usage, {
        message: 'tokenizer.json has no words that end with their blank',
        place: `--out ${file}`,
        hint: 'write a .model instead',
      });
    if (await stat(file).catch(() => undefined))
      throw new UserError('E_FILE_EXISTS', EXIT.usage, { message: 'there is such a file', place: file, hint: 'choose another with --out' });
  }
}
