/** openmoe bench: how near kernels, the training step, decoding and tokenizers come to what this machine can do. */
import { RECIPES } from '../../../recipes/index.ts';
import { EXIT, formatDuration, formatShare, suggest, UserError } from '../../base/index.ts';
import {
  benchKernels,
  benchStep,
  bestPeer,
  CONFIGS,
  kernelTitles,
  type OpTime,
  peerRecipe,
  PRECISIONS,
  type Row,
} from '../../bench/index.ts';
import { type CpuExecutor, openCpu, type Timeline } from '../../exec/index.ts';
import type { Recipe } from '../../train/index.ts';
import { benchDocument, peakNow, peersFrom, record, writeProfile } from '../bench-record.ts';
import { opsTable, rowsTable } from '../bench-tables.ts';
import { type Answer, command, parseText, parseWord, value, valueOr, wordOr, yes } from '../command.ts';
import { chosenThreads, threadsFlag } from '../surroundings.ts';

const PARTS = ['kernels', 'step'] as const;
type Part = (typeof PARTS)[number];

export const bench = command({
  about: 'Measures kernels, the training step, decoding or tokenizers against the peak and bandwidth measured beside each',
  examples: [
    'bench step --config base-lite',
    'bench step --config quick-dense --json',
    "bench kernels --filter 'grouped matmul'",
    'bench kernels --peer results.jsonl',
  ],
  args: { what: wordOr(['all', ...PARTS], { about: 'what to measure', standard: 'all' }) },
  flags: {
    filter: valueOr({ form: '<text>', about: 'only what has this in its name or shape', parse: parseText, standard: '' }),
    config: valueOr({
      form: '<name>',
      about: `step: ${Object.keys(CONFIGS).join(', ')} as the peers have them, or a recipe`,
      parse: parseText,
      standard: 'quick',
    }),
    dtype: valueOr({
      form: '<type>',
      about: `what is multiplied: ${PRECISIONS.join(', ')}`,
      parse: parseWord(PRECISIONS),
      standard: 'f32',
    }),
    threads: threadsFlag,
    profile: yes('step: writes one step as a timeline, profile-NAME.html and profile-NAME.trace.json (chrome://tracing, Perfetto)'),
    peer: value({
      form: '<file>',
      about: 'JSON lines of peers: the ratio to the best of them is printed beside each row',
      parse: parseText,
    }),
  },
  streams: true,
  async run({ args, flags, terminal }): Promise<Answer> {
    const wanted: Wanted = { filter: flags.filter, recipe: configured(flags.config) };
    const parts = args.what === 'all' ? PARTS : [args.what];
    if (parts.includes('kernels')) checkFilter(flags.filter, kernelTitles());
    const peers = flags.peer === undefined ? [] : peersFrom(flags.peer, terminal);
    const executor = openCpu({ threads: chosenThreads(flags.threads, terminal.env).count });
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
  readonly recipe: Recipe;
}
type Measured = AsyncGenerator<{ readonly row: Row; readonly ops?: readonly OpTime[]; readonly timeline?: Timeline | undefined }>;

const MEASURE: Readonly<Record<Part, (executor: CpuExecutor, wanted: Wanted) => Measured>> = {
  async *kernels(executor, { filter }) {
    for await (const row of benchKernels(executor, filter)) yield { row };
  },
  async *step(executor, { recipe }) {
    yield await benchStep(executor, recipe);
  },
};

function checkFilter(filter: string, titles: readonly string[]): void {
  if (titles.some((title) => title.includes(filter))) return;
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
