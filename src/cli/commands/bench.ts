/** openmoe bench: how near kernels and the training step come to what this machine can do. */
import { cpus, loadavg } from 'node:os';
import { RECIPES } from '../../../recipes/index.ts';
import { EXIT, formatDuration, formatShare, suggest, UserError, inColumns } from '../../base/index.ts';
import { benchKernels, benchStep, CONFIGS, peerRecipe, type Row, type StepConfigName, type StepProfile } from '../../bench/index.ts';
import { type CpuExecutor, openCpu } from '../../exec/index.ts';
import type { Recipe } from '../../train/index.ts';
import { type Answer, command, oneOf, parseText, valueOr } from '../command.ts';
import { chosenThreads, threadsFlag } from '../surroundings.ts';
import type { Terminal } from '../terminal.ts';

export const bench = command({
  about: 'Measures kernels, or the whole training step, against the peak measured beside each',
  examples: ['bench step', 'bench step --config quickstart --json', "bench kernels --filter 'grouped matmul'"],
  args: { what: oneOf(['kernels', 'step'], 'what to measure') },
  flags: {
    config: valueOr({
      form: '<name>',
      about: `step: ${Object.keys(CONFIGS).join(', ')} as the peers have them, or a recipe`,
      parse: parseText,
      standard: 'quick',
    }),
    filter: valueOr({ form: '<text>', about: 'kernels: those whose name or shape contains it', parse: parseText, standard: '' }),
    threads: threadsFlag,
  },
  streams: true,
  async run({ args, flags, terminal }): Promise<Answer> {
    const recipe = configured(flags.config);
    const executor = openCpu({ threads: chosenThreads(flags.threads, terminal.env).count });
    const rows: Row[] = [];
    const take = (row: Row): void => {
      rows.push(row);
      terminal.event({ event: 'measured', ...row });
      if (terminal.form === 'text') terminal.say(line(row));
    };
    if (args.what === 'kernels') {
      for await (const row of benchKernels(executor, flags.filter)) take(row);
      if (rows.length === 0)
        throw new UserError('E_KERNEL_UNKNOWN', EXIT.notFound, {
          message: `no kernel has "${flags.filter}" in its name or shape`,
          place: '--filter',
        });
      return { schema: 'openmoe.bench/1', data: documentOf(executor, rows), text: rowsTable(rows) };
    }
    const { row, session } = await benchStep(executor, recipe);
    take(row);
    return {
      schema: 'openmoe.bench/1',
      data: { ...documentOf(executor, rows), ops: session },
      text: rowsTable(rows) + stepText(row, session, terminal),
    };
  },
});

/** The machine, the best peak and bandwidth that were measured beside the rows (GFLOP/s and GB/s), and the rows. */
function documentOf({ facts }: CpuExecutor, rows: readonly Row[]): object {
  const best = (of: (row: Row) => number): number => Math.max(...rows.map(of));
  const { read, update } = { read: best((r) => r.read_gb_s), update: best((r) => r.update_gb_s) };
  return {
    machine: { processor: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, load: loadavg()[0], engine: facts },
    peak: { f32: best((r) => r.peak_gflops), bandwidth: { read, update } },
    rows,
  };
}

function configured(name: string): Recipe {
  if (Object.hasOwn(CONFIGS, name)) return peerRecipe(name as StepConfigName);
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (recipe) return recipe;
  throw new UserError('E_RECIPE_UNKNOWN', EXIT.notFound, {
    message: `${name}: no such configuration`,
    place: '--config',
    hint: suggest(name, [...Object.keys(CONFIGS), ...Object.keys(RECIPES)]),
  });
}

const line = ({ name, shape, median_s, share }: Row): string =>
  `${name} ${shape}: ${formatDuration(median_s)}, ${formatShare(share)} of peak`;

/** Milliseconds, to three digits even where kernels take microseconds. */
const ms = (seconds: number): string => (seconds * 1000).toPrecision(3);

const rowsTable = (rows: readonly Row[]): string =>
  inColumns(
    [
      ['name', 'shape', 'ms', 'floor ms', 'share', 'bound by', 'peak GFLOP/s'],
      ...rows.map((r) => [r.name, r.shape, ms(r.median_s), ms(r.floor_s), formatShare(r.share), r.bound, r.peak_gflops.toFixed(1)]),
    ],
    { right: [2, 3, 4, 6] },
  );

const SHOWN_OPS = 12;

function stepText({ tok_per_s }: Row, session: StepProfile, { verbosity }: Terminal): string {
  const total = session.reduce((sum, op) => sum + op.seconds, 0);
  const shown = verbosity > 0 ? session : session.slice(0, SHOWN_OPS);
  const ops = [
    ['op', 'count', 'ms', 'share'],
    ...shown.map(({ op, count, seconds }) => [
      op.length > 50 ? `${op.slice(0, 49)}…` : op,
      String(count),
      ms(seconds),
      formatShare(seconds / total),
    ]),
  ];
  return `${tok_per_s === undefined ? '' : `${Math.round(tok_per_s)} tokens a second\n`}${session.length > 0 ? `\n${inColumns(ops, { right: [1, 2, 3] })}` : ''}`;
}
