/** openmoe inspect: three looks at the routers of a run: load, drops, one token in its contexts. */
import { mkdir } from 'node:fs/promises';
import { EXIT, UserError } from '../../base/index.ts';
import { dropsView, loadView, tokenView, type View } from '../../report/index.ts';
import { writeAtomic } from '../../runs/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { DIALECTS, type Dialect } from '../../infer/index.ts';
import { type Answer, command, optional, parseText, parseWord, required, value, valueOr, wordOr } from '../command.ts';
import { parseIds } from '../ids.ts';
import { readIdsFile, recordIds } from '../ids-record.ts';
import { findModel, MODEL } from '../model-reference.ts';
import { recordOf } from '../probing.ts';
import { openForReading } from '../reading-model.ts';
import { reopen } from '../reopened.ts';
import { shownPath, threadsFlag } from '../surroundings.ts';
import type { Terminal } from '../terminal.ts';

const LOOKS = ['load', 'drops', 'token'] as const;

export const inspect = command({
  about:
    'Shows what routers do on the probe set of a run, or on given ids: load by layer and expert, drops by position, or one token in its contexts',
  examples: [
    'inspect last load',
    'inspect otter@1000 drops --json',
    "inspect last token ' the'",
    'inspect checkpoints/openmoe-base --ids-file ids.txt --json',
  ],
  args: {
    run: required(`${MODEL}; a run unless --ids-file is given`),
    what: wordOr(LOOKS, { about: 'what to look at', standard: 'load' }),
    text: optional('for token: the text whose tokens to look for, after a blank too; with --ids-file its ids where there is no tokenizer'),
  },
  flags: {
    idsFile: value({ form: '<file>', about: 'ids to read instead of the probe set: a row a line, as 0,17,5', parse: parseText }),
    routingGroup: valueOr({
      form: '<of>',
      about: 'with --ids-file, what competes for slots: prompt (a row) or batch (all rows)',
      parse: parseWord(['prompt', 'batch']),
      standard: 'prompt',
    }),
    dialect: value({
      form: '<name>',
      about: `with --ids-file, groups and capacity as in ${DIALECTS.join(' or ')}`,
      parse: parseWord(DIALECTS),
    }),
    threads: threadsFlag,
  },
  saves: true,
  async run({ args: { run: ref, what, text }, flags, terminal, signal }): Promise<Answer> {
    if ((what === 'token') !== (text !== undefined))
      throw new UserError('E_USAGE', EXIT.usage, {
        message: what === 'token' ? 'which text?' : `${what} takes no text`,
        place: 'openmoe inspect',
        hint: "write: openmoe inspect last token ' the'",
      });
    if (flags.idsFile !== undefined) return inspectIds(ref, { ...flags, what, text, idsFile: flags.idsFile, terminal });
    await requireRun(ref, terminal);
    const opened = await reopen(ref, terminal, { threads: flags.threads, signal });
    const { run, recipe, tokenizer, step, model } = opened;
    if (model.moeLayers.length === 0)
      throw new UserError('E_DENSE', EXIT.usage, { message: 'this model has no MoE layer: nothing is routed', place: run.dir });
    const record = await recordOf({ ...opened, terminal, signal }, step);
    const views: Readonly<Record<typeof what, () => View>> = {
      load: () => loadView(record),
      drops: () => dropsView(record, recipe.seed),
      token: () => tokenView(record, idsOf(text ?? '', tokenizer), { pieceOf: (id) => tokenizer.pieceOf(id), seed: recipe.seed }),
    };
    const view = views[what]();
    const files = { csv: run.path('inspect', `${what}.csv`), svg: run.path('inspect', `${what}.svg`) };
    await mkdir(run.path('inspect'), { recursive: true });
    for (const form of ['csv', 'svg'] as const) await writeAtomic(files[form], view[form]);
    terminal.say(`${shownPath(files.csv)} · ${shownPath(files.svg)}`);
    return { schema: `openmoe.inspect-${what}/1`, data: { run: run.dir, step, ...view.json, files }, text: view.text };
  },
});

/** Only runs keep a probe set. Throws E_NO_PROBE_SET (usage). */
async function requireRun(ref: string, terminal: Terminal): Promise<void> {
  if ((await findModel(ref, terminal)).kind !== 'run')
    throw new UserError('E_NO_PROBE_SET', EXIT.usage, {
      message: 'a checkpoint has no probe set',
      place: ref,
      hint: 'give ids to read: --ids-file FILE, a row a line, as 0,17,5',
    });
}

interface IdsLook {
  readonly what: (typeof LOOKS)[number];
  readonly text: string | undefined;
  readonly idsFile: string;
  readonly routingGroup: 'prompt' | 'batch';
  readonly dialect: Dialect | undefined;
  readonly threads: number | undefined;
  readonly terminal: Terminal;
}

/** The same looks at given ids, by any checkpoint; nothing is written. */
async function inspectIds(ref: string, { what, text, idsFile, routingGroup, terminal, ...flags }: IdsLook): Promise<Answer> {
  const given = await readIdsFile(idsFile);
  const opened = await openForReading(ref, terminal, { ...flags, dtype: 'f32' });
  const { record, rows } = await recordIds(opened, given, routingGroup === 'batch');
  const { tokenizer } = opened;
  const ids = (): number[] => (tokenizer ? idsOf(text ?? '', tokenizer) : parseIds(text ?? '', 'openmoe inspect token'));
  const pieceOf = (id: number): string => tokenizer?.pieceOf(id) ?? `#${id}`;
  const views: Readonly<Record<typeof what, () => View>> = {
    load: () => loadView(record),
    drops: () => dropsView(record, 0),
    token: () => tokenView(record, ids(), { pieceOf, seed: 0 }),
  };
  const view = views[what]();
  return { schema: `openmoe.inspect-${what}/1`, data: { model: opened.place, ...view.json, rows }, text: view.text };
}

/** A word inside a text begins with its blank: both are meant. */
const idsOf = (text: string, tokenizer: Tokenizer): number[] => [
  ...new Set([...tokenizer.encode(text), ...(text.startsWith(' ') ? [] : tokenizer.encode(` ${text}`))]),
];
