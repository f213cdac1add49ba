/** Makes a run's report.html out of its folder, its data and its probe. */
import { baselines, type Dataset, type Baselines } from '../data/index.ts';
import { type DataRow, type Json, report, type ReportInput } from '../report/index.ts';
import type { Findings } from '../routing/index.ts';
import type { RunFolder } from '../runs/index.ts';
import { type Prepared, type Recipe, validationRows } from '../train/index.ts';
import { type History, historyNumbers, type Sample } from './history.ts';
import type { RoutingLine } from './record.ts';
import { quoted, shownPath } from './surroundings.ts';

/** Unigram and bigram on exactly the tokens that training has read, and the rows that it is validated on. */
export function baselinesOf(
  dataset: Dataset,
  recipe: Recipe,
  { vocab, steps }: { readonly vocab: number; readonly steps: number },
): Baselines {
  const validation = [validationRows(dataset, recipe.validation.rows)];
  return baselines(dataset.rowsSeen({ seed: recipe.seed, steps, batch: recipe.train.batch * recipe.train.accumulate }), validation, vocab);
}

export interface PageNeeds extends Prepared {
  readonly run: RunFolder;
  readonly recipe: Recipe;
  readonly history: History;
  readonly baselines: Baselines;
  readonly findings: Findings | undefined;
  readonly samples: readonly Sample[];
}

export async function reportPage(needs: PageNeeds): Promise<string> {
  return report(await reportInput(needs));
}

async function reportInput({
  run,
  recipe,
  model,
  dataset,
  tokenizer,
  history,
  findings,
  samples,
  ...rest
}: PageNeeds): Promise<ReportInput> {
  const { step: steps, tokens, seconds } = historyNumbers(history);
  const perStep = recipe.train.batch * recipe.train.accumulate * recipe.data.length;
  const dir = shownPath(run.dir);
  return {
    run: { id: run.id, dir },
    recipe: recipe as unknown as Json,
    environment: (await run.readJson('env.json')) as Json,
    params: { total: model.counts.total, active: model.counts.active },
    steps,
    tokens,
    seconds,
    metrics: history.metrics.map((m) => ({ step: m.step, tokens: m.tokens, crossEntropy: m.cross_entropy })),
    validation: history.validation.map(({ step, loss, byDomain }) => ({ step, tokens: step * perStep, loss, byDomain })),
    baselines: rest.baselines,
    ...(findings && { findings }),
    stepRouting: thinned(history.routing),
    pieceOf: (id) => tokenizer.pieceOf(id),
    samples,
    data: dataRows(dataset),
    commands: commandsFor(quoted(dir)),
  };
}

/** Steps shown: as many as a chart has room for. */
const SHOWN_STEPS = 200;

function thinned(routing: readonly RoutingLine[]): ReportInput['stepRouting'] {
  const bySteps = new Map<number, RoutingLine[]>();
  for (const line of routing) bySteps.set(line.step, [...(bySteps.get(line.step) ?? []), line]);
  const steps = [...bySteps.keys()];
  const every = Math.max(1, Math.ceil(steps.length / SHOWN_STEPS));
  const shown = steps.filter((_, i) => i % every === 0 || i === steps.length - 1);
  return shown.map((step) => ({
    step,
    layers: bySteps.get(step)!.map(({ step: _, layer, balanceLoss, routerZ: __, ...routing }) => ({ layer, balanceLoss, routing })),
  }));
}

function dataRows(dataset: Dataset): DataRow[] {
  const sum = (sides: Readonly<Record<string, number>>): number => Object.values(sides).reduce((a, b) => a + b, 0);
  return dataset.domains.map(({ name, origin, licence, heldOut = false }, d) => {
    const { documents, bytes, tokens } = dataset.counts[d]!;
    return { domain: name, origin, licence, heldOut, documents: sum(documents), bytes: sum(bytes), tokens };
  });
}

const commandsFor = (dir: string): ReportInput['commands'] => [
  { what: 'this page', command: `npx openmoe report ${dir}` },
  { what: 'text from this run', command: `npx openmoe generate ${dir} 'The'` },
  { what: 'load by layer and expert', command: `npx openmoe inspect ${dir} load` },
  { what: 'drops by position', command: `npx openmoe inspect ${dir} drops` },
];
