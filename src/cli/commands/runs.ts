/** openmoe runs: which runs there are, how they stand, and how to go on with those that ended early. */
import { UserError, inColumns } from '../../base/index.ts';
import { listRuns, readRun, type RunSummary } from '../../runs/index.ts';
import { command } from '../command.ts';
import { resumeCommand, runsRoot, shownPath } from '../surroundings.ts';

interface Row {
  readonly id: string;
  readonly state: RunSummary['state'];
  readonly dir: string;
  readonly created: string | null;
  readonly tags: readonly string[];
  readonly recipe: string | null;
  /** Of the newest checkpoint. */
  readonly step: number | null;
  /** Steps asked for. */
  readonly steps: number | null;
  /** The last validation loss, in nats per token. */
  readonly loss: number | null;
  /** How to go on, where there is something to go on with. */
  readonly resume: string | null;
}

export const runs = command({
  about: 'Lists runs, newest first, with their state and how to go on with those that ended early',
  examples: ['runs', "runs --json | jq '.runs[0].dir'"],
  async run({ terminal }) {
    const root = runsRoot(terminal.env);
    const rows = await Promise.all((await listRuns(root)).map(described));
    return {
      schema: 'openmoe.runs/1',
      data: { root, runs: rows },
      text: rows.length > 0 ? text(rows) : `no runs in ${shownPath(root)} yet; try: npx openmoe train tiny\n`,
    };
  },
});

const ENDED_EARLY: readonly RunSummary['state'][] = ['stopped', 'crashed'];

async function described({ id, dir, state, info, step }: RunSummary): Promise<Row> {
  const folder = await readRun(dir);
  const recipe = (await orNothing(folder.readJson('recipe.json'))) as { name?: string; train?: { steps?: number } } | undefined;
  const news = ((await orNothing(folder.readLines('events.jsonl'))) ?? []).map(
    (line) => line.value as { kind?: string; loss?: number } | null,
  );
  const tags = info?.tags ?? [];
  return {
    id,
    state,
    dir,
    created: info?.created ?? null,
    tags,
    recipe: recipe?.name ?? null,
    step: step ?? null,
    steps: recipe?.train?.steps ?? null,
    loss: news.findLast((e) => e?.kind === 'validation')?.loss ?? null,
    resume: ENDED_EARLY.includes(state) ? resumeCommand(dir, tags) : null,
  };
}

/** A damaged file must not hide the other runs. */
async function orNothing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function text(rows: readonly Row[]): string {
  const lines = rows.map((r) => [
    r.id,
    r.state,
    r.recipe ?? '–',
    `${r.step ?? 0}/${r.steps ?? '?'}`,
    r.loss?.toFixed(3) ?? '–',
    r.created?.slice(0, 16).replace('T', ' ') ?? '–',
  ]);
  const commands = rows.flatMap((r) => (r.resume ? [`${r.id} ${r.state}; go on: ${r.resume}\n`] : []));
  return (
    inColumns([['run', 'state', 'recipe', 'saved', 'val loss', 'created (UTC)'], ...lines], { right: [3, 4] }) +
    (commands.length > 0 ? `\n${commands.join('')}` : '')
  );
}
