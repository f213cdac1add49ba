/** openmoe inspect: three looks at the routers of a run: load, drops, one token in its contexts. */
import { mkdir } from 'node:fs/promises';
import { EXIT, UserError } from '../../base/index.ts';
import { dropsView, loadView, tokenView, type View } from '../../report/index.ts';
import { writeAtomic } from '../../runs/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { type Answer, command, oneOf, optional, required } from '../command.ts';
import { recordOf } from '../probing.ts';
import { reopen } from '../reopened.ts';
import { shownPath, threadsFlag } from '../surroundings.ts';

const LOOKS = ['load', 'drops', 'token'] as const;

export const inspect = command({
  about: 'Shows what the routers of a run do on its probe set: load by layer and expert, drops by position, or one token in its contexts',
  examples: ['inspect last load', 'inspect otter@1000 drops --json', "inspect last token ' the'"],
  args: {
    run: required('a run: last, its id or a part of it, a folder; @step for a checkpoint'),
    what: oneOf(LOOKS, 'what to look at'),
    text: optional('for token: the text whose tokens to look for, after a blank too'),
  },
  flags: { threads: threadsFlag },
  saves: true,
  async run({ args: { run: ref, what, text }, flags, terminal, signal }): Promise<Answer> {
    if ((what === 'token') !== (text !== undefined))
      throw new UserError('E_USAGE', EXIT.usage, {
        message: what === 'token' ? 'which text?' : `${what} takes no text`,
        place: 'openmoe inspect',
        hint: "write: openmoe inspect last token ' the'",
      });
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

/** A word inside a text begins with its blank: both are meant. */
const idsOf = (text: string, tokenizer: Tokenizer): number[] => [
  ...new Set([...tokenizer.encode(text), ...(text.startsWith(' ') ? [] : tokenizer.encode(` ${text}`))]),
];
