/** openmoe bench: how near kernels, the training step, decoding and tokenizers come to what this machine can do. */
import { RECIPES } from '../../../recipes/index.ts';
import { EXIT, formatDuration, formatShare, suggest, UserError } from '../../base/index.ts';
import {
  benchDecode,
  benchKernels,
  benchStep,
  benchTokenizers,
  bestPeer,
  CONFIGS,
  decodeTitles,
  kernelTitles,
  type OpTime,
  peerRecipe,
  type Precision,
  PRECISIONS,
  type Row,
  tokenizerTitles,
} from '../../bench/index.ts';
import { folder, type Source, starterCorpus } from '../../data/index.ts';
import { type MachineExecutor, openExecutor, type Timeline } from '../../exec/index.ts';
import type { Recipe } from '../../train/index.ts';
import { benchDocument, peakNow, peersFrom, record, writeProfile } from '../bench-record.ts';
import { qualityOf } from '../bench-quality.ts';
import { opsTable, rowsTable } from '../bench-tables.ts';
import { type Answer, command, parseText, parseWord, value, valueOr, wordOr, yes } from '../command.ts';
import { chosenThreads, threadsFlag } from '../surroundings.ts';

const PARTS = ['kernels', 'step', 'decode', 'tokenizers'] as const;
type Part = (typeof PARTS)[number];
/** What a bare `bench` measures: the engine's part of training. */
const ALL: readonly Part[] = ['kernels', 'step'];
/** What a filter is looked for in; of a step it chooses the ops that are shown. */
const TITLES: Readonly<Record<Part, (dtype: Precision) => readonly string[]>> = {
  kernels: kernelTitles,
  step: () => [],
  decode: decodeTitles,
  tokenizers: tokenizerTitles,
};

export const bench = command({
  about: 'Measures kernels, the training step, decoding or tokenizers against the peak and bandwidth measured beside each',
  examples: [
    'bench step --config base-lite',
    'bench step --config quick-dense --json',
    "bench kernels --filter 'grouped matmul'",
    'bench kernels --peer results.jsonl',
    'bench step --profile',
    "bench decode --filter '113m 1×64'",
    'bench tokenizers --corpus texts',
    'bench --quality last',
  ],
  args: { what: wordOr(['all', ...PARTS], { about: 'what to measure, all being kernels and step', standard: 'all' }) },
  flags: {
    filter: valueOr({
      form: '<text>',
      about: 'only what has this in its name or shape; step: only ops with this in their name',
      parse: parseText,
      standard: '',
    }),
    config: valueOr({
      form: '<name>',
      about: `step: ${Object.keys(CONFIGS).join(', ')} as the peers have them, or a recipe`,
      parse: parseText,
      standard: 'quick',
    }),
    dtype: value({
      form: '<type>',
      about: `${PRECISIONS.join(', ')}: what kernels and steps multiply, and how decoding holds its weights (default: f32, or what a recipe says)`,
      parse: parseWord(PRECISIONS),
    }),
    threads: threadsFlag,
    profile: yes('step: writes one step as a timeline, profile-NAME.html and profile-NAME.trace.json (chrome://tracing, Perfetto)'),
    corpus: value({
      form: '<folder>',
      about: 'tokenizers: text to train on and to encode (default: the starter corpus)',
      parse: parseText,
    }),
    quality: value({
      form: '<run>',
      about: 'instead of a speed: what weights in bf16, int8 and int4 cost a trained run in validation loss, with the 95 % interval',
      parse: parseText,
    }),
    peer: value({
      form: '<file>',
      about: 'JSON lines of peers: the ratio to the best of them is printed beside each row',
      parse: parseText,
    }),
  },
  streams: true,
  async run({ args, flags, terminal, signal }): Promise<Answer> {
    if (flags.quality !== undefined) return qualityOf(flags.quality, terminal, { threads: flags.threads, signal });
    const parts = args.what === 'all' ? ALL : [args.what];
    const recipe = configured(flags.config);
    const dtype = checkedType(flags.dtype, parts);
    const wanted: Wanted = {
      filter: flags.filter,
      dtype: dtype ?? 'f32',
      recipe: dtype === 'f32' || dtype === 'bf16' ? { ...recipe, precision: dtype } : recipe,
      corpus: async () => (flags.corpus === undefined ? starterCorpus() : folder(flags.corpus)),
    };
    checkFilter(
      flags.filter,
      parts.flatMap((part) => TITLES[part](wanted.dtype)),
    );
    const peers = flags.peer === undefined ? [] : peersFrom(flags.peer, terminal);
    const executor = openExecutor({ threads: chosenThreads(flags.threads, terminal.env).count });
    const peak = peakNow(executor, terminal);
    const [rows, ops, profiles]: [Row[], OpTime[], string[]] = [[], [], []];
    for (const part of parts)
      for await (const measured of MEASURE[part](executor, wanted)) {
        ops.push(...(measured.ops ?? []));
        if (flags.profile && measured.timeline)
          profiles.push(...writeProfile(measured.timeline, { recipe: wanted.recipe, row: measured.row, terminal }));
        const peer = bestPeer(measured.row, peers);
        const row = { ...measured.row, ...(peer && { peer }) };
        rows.push(row);
        terminal.event({ event: 'measured', ...row });
        if (terminal.form === 'text') terminal.say(line(row));
      }
    const document = benchDocument(executor, peak, rows);
    executor.close();
    await record(document, terminal);
    return {
      schema: 'openmoe.bench/1',
      data: { ...document, ...(ops.length > 0 && { ops }), ...(profiles.length > 0 && { profiles }) },
      text: rowsTable(rows) + (ops.length > 0 ? `\n${opsTable(ops, terminal.verbosity)}` : ''),
    };
  },
});

interface Wanted {
  readonly filter: string;
  readonly dtype: Precision;
  readonly recipe: Recipe;
  corpus(): Promise<Source>;
}
type Measured = AsyncGenerator<{ readonly row: Row; readonly ops?: readonly OpTime[]; readonly timeline?: Timeline | undefined }>;

const MEASURE: Readonly<Record<Part, (executor: MachineExecutor, wanted: Wanted) => Measured>> = {
  async *kernels(executor, { filter, dtype }) {
    for await (const row of benchKernels(executor, filter, dtype)) yield { row };
  },
  async *decode(executor, { filter, dtype }) {
    for await (const row of benchDecode(executor, filter, dtype)) yield { row };
  },
  async *tokenizers(executor, { filter, corpus }) {
    for await (const row of benchTokenizers(executor, await corpus(), filter)) yield { row };
  },
  async *step(executor, { recipe, filter }) {
    const { ops, ...measured } = await benchStep(executor, recipe);
    yield { ...measured, ops: ops.filter(({ op }) => op.includes(filter)) };
  },
};

const TYPES: Readonly<Record<Part, readonly Precision[]>> = {
  kernels: ['f32', 'bf16'],
  step: ['f32', 'bf16'],
  decode: PRECISIONS,
  tokenizers: [],
};

function checkedType(dtype: Precision | undefined, parts: readonly Part[]): Precision | undefined {
  const without = dtype && parts.find((part) => !TYPES[part].includes(dtype));
  if (!without) return dtype;
  const allowed = TYPES[without].join(', ') || 'no type at all';
  throw new UserError('E_DTYPE', EXIT.usage, {
    message: `${without} cannot be measured in ${dtype}`,
    place: '--dtype',
    hint: `it takes ${allowed}`,
  });
}

function checkFilter(filter: string, titles: readonly string[]): void {
  if (titles.length === 0 || titles.some((title) => title.includes(filter))) return;
  throw new UserError('E_KERNEL_UNKNOWN', EXIT.notFound, {
    message: `nothing that is measured has "${filter}" in its name or shape`,
    place: '--filter',
    hint: suggest(filter, [...new Set(titles.map((title) => title.split(' ')[0]!)), ...titles]),
  });
}

function configured(name: string): Recipe {
  if (Object.hasOwn(CONFIGS, name)) return peerRecipe(name);
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (recipe) return recipe;
  throw new UserError('E_RECIPE_UNKNOWN', EXIT.notFound, {
    message: `${name}: no such configuration`,
    place: '--config',
    hint: suggest(name, [...Object.keys(CONFIGS), ...Object.keys(RECIPES)]),
  });
}

const line = ({ name, shape, median_s, share }: Row): string =>
  `${name} ${shape}: ${formatDuration(median_s)}, ${formatShare(share)} of what is possible`;
