/** All fixtures of a folder: found by their form, run one after the other, what is not covered named. */
import { EXIT, UserError } from '../base/index.ts';
import { decodeFixtures } from './jax-decode.ts';
import { jaxBf16Fixtures } from './jax-bf16.ts';
import { jaxModelFixtures } from './jax-forward.ts';
import { geometryFixture } from './jax-geometry.ts';
import { initFixture } from './jax-init.ts';
import { moduleFixtures } from './jax-modules.ts';
import { adafactorFixtures } from './jax-optimizer.ts';
import { sentencePieceFixtures } from './jax-text.ts';
import { traceFixture } from './jax-trace.ts';
import { filesIn, type FixtureFolder, foldersIn, readJson } from './reading.ts';
import { type Fixture, notRun, type Row, sheet } from './row.ts';
import { torchBaseFixture } from './torch-base.ts';
import { torchGenerateFixtures } from './torch-generate.ts';
import { torchForwardFixtures } from './torch-forward.ts';
import { hostileFixtures } from './torch-hostile.ts';
import { torchLossFixtures } from './torch-loss.ts';
import { torchModelFixtures } from './torch-models.ts';
import { torchRouterFixtures } from './torch-router.ts';
import type { Executor } from './vocabulary.ts';

export interface Report {
  /** Nothing failed and nothing was left unrun. */
  readonly ok: boolean;
  readonly rows: readonly Row[];
  /** Files, tensors and cases that no comparison reads. */
  readonly not_covered: readonly string[];
}

/** A group of fixtures; making them may fail, for a file may be missing or broken. */
interface Found {
  readonly name: string;
  readonly make: () => Fixture[] | Promise<Fixture[]>;
}

/**
 * Runs every fixture of a folder in the form of fixtures/torch or fixtures/jax, or of a folder that holds such folders. `onRows` hears of each
 * fixture once it has run. Throws UserError E_FIXTURES (exit 3) when the folder holds none.
 */
export async function runParity(
  folder: FixtureFolder,
  executor: Executor,
  { onRows, signal }: { readonly onRows?: (rows: readonly Row[]) => void; readonly signal?: AbortSignal } = {},
): Promise<Report> {
  const found = [...(await torchFixtures(folder, executor)), ...jaxFixtures(folder, executor)];
  if (found.length === 0) return runInside(folder, executor, { ...(onRows && { onRows }), ...(signal && { signal }) });
  const [rows, left, read]: [Row[], string[], Set<string>] = [[], [], new Set(['README.md'])];
  for (const group of found) {
    for (const fixture of await made(group)) {
      signal?.throwIfAborted();
      fixture.files.forEach((f) => read.add(f));
      const to = sheet(fixture.name);
      const failure = await failureOf(() => fixture.run(to));
      const these = failure === undefined ? to.rows : [...to.rows, notRun(fixture.name, failure)];
      rows.push(...these);
      left.push(...to.left);
      onRows?.(these);
    }
  }
  left.push(...folder.files.filter((f) => !read.has(f)));
  return { ok: rows.every((r) => r.verdict === 'pass'), rows, not_covered: left };
}

/** Fixtures of the folders inside, their names with the folder before them. */
async function runInside(folder: FixtureFolder, executor: Executor, options: Parameters<typeof runParity>[2]): Promise<Report> {
  const [rows, left]: [Row[], string[]] = [[], []];
  for (const inside of foldersIn(folder)) {
    const sub = subfolder(folder, inside);
    if ((await torchFixtures(sub, executor)).length + jaxFixtures(sub, executor).length === 0) {
      left.push(...sub.files.map((f) => `${inside}/${f}`));
      continue;
    }
    const named = (list: readonly Row[]): Row[] => list.map((r) => ({ ...r, fixture: `${inside}/${r.fixture}` }));
    const report = await runParity(sub, executor, { ...options, ...(options?.onRows && { onRows: (r) => options.onRows!(named(r)) }) });
    rows.push(...named(report.rows));
    left.push(...report.not_covered.map((f) => `${inside}/${f}`));
  }
  if (rows.length === 0)
    throw new UserError('E_FIXTURES', EXIT.notFound, {
      message: 'nothing here has the form of a fixture of the references',
      place: folder.place,
      hint: 'docs/fidelity.md says what fixtures look like',
    });
  return { ok: rows.every((r) => r.verdict === 'pass'), rows, not_covered: left };
}

const subfolder = (folder: FixtureFolder, inside: string): FixtureFolder => ({
  place: `${folder.place}/${inside}`,
  files: folder.files.flatMap((f) => (f.startsWith(`${inside}/`) ? [f.slice(inside.length + 1)] : [])),
  read: (path) => folder.read(`${inside}/${path}`),
  open: (path) => folder.open(`${inside}/${path}`),
  withTensors: (path, use) => folder.withTensors(`${inside}/${path}`, use),
});

/** Where fixtures cannot be made, one that says so. */
async function made({ name, make }: Found): Promise<Fixture[]> {
  try {
    return await make();
  } catch (error) {
    return [{ name, files: [], run: () => Promise.reject(error as Error) }];
  }
}

async function failureOf(run: () => Promise<void>): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** JSON files are told apart by their keys, for names are free; those that cannot be read, by their names. */
async function torchFixtures(folder: FixtureFolder, executor: Executor): Promise<Found[]> {
  const top = filesIn(folder, '');
  const folders = foldersIn(folder);
  const models = folders.filter((f) => f.startsWith('model') || folder.files.includes(`${f}/config.json`));
  const hostile = folders.filter((f) => f.startsWith('hostile'));
  const forms = new Map<string, Form>();
  for (const file of top) {
    const stem = /^(.+)\.(json|safetensors)$/.exec(file)?.[1];
    if (stem === undefined || forms.has(stem)) continue;
    const form = await torchForm(folder, stem, models.length > 0);
    if (form) forms.set(stem, form);
  }
  const makers: Record<Form, (opened: { folder: FixtureFolder; stem: string; executor: Executor }) => Found['make']> = {
    forward: (o) => () => torchForwardFixtures(o),
    loss: (o) => () => torchLossFixtures(o),
    generate: (o) => () => torchGenerateFixtures(o),
    router:
      ({ stem }) =>
      () =>
        torchRouterFixtures(folder, stem, executor),
    base: (o) => () => [torchBaseFixture(o)],
  };
  const stems = [...forms].filter(([, form]) => form === 'forward').map(([stem]) => stem);
  return [
    ...(models.length > 0 && forms.size > 0
      ? [{ name: 'model folders', make: () => torchModelFixtures(folder, models, stems, executor) }]
      : []),
    ...[...forms].map(([stem, form]) => ({ name: stem, make: makers[form]({ folder, stem, executor }) })),
    ...hostile.map((name) => ({ name, make: () => hostileFixtures(folder, name) })),
  ];
}

type Form = 'forward' | 'loss' | 'generate' | 'router' | 'base';

async function torchForm(folder: FixtureFolder, stem: string, withModels: boolean): Promise<Form | undefined> {
  const byName = /^(forward|loss|generate|router|base)\b/.exec(stem)?.[1] as Form | undefined;
  const json = await readJson<Record<string, unknown>>(folder, `${stem}.json`).catch(() => undefined);
  if (typeof json !== 'object' || json === null) return byName;
  if ('inputs' in json && 'scales' in json) return 'forward';
  if ('prompts' in json) return 'generate';
  if ('factors' in json && 'ids' in json) return 'loss';
  if ('vocabulary' in json && 'weights' in json) return 'base';
  const first = Object.values(json)[0];
  if (typeof first === 'object' && first !== null && 'logits' in first && 'train' in first) return 'router';
  return withModels ? byName : undefined;
}

function jaxFixtures(folder: FixtureFolder, executor: Executor): Found[] {
  const has = (path: string): boolean => folder.files.includes(path);
  const models = foldersIn(folder).filter(
    (f) => has(`${f}/scalars.json`) || has(`${f}/weights_hf.safetensors`) || has(`${f}/weights_t5x.safetensors`),
  );
  const parts: readonly (readonly [string, Found['make']])[] = [
    ['adafactor/', () => adafactorFixtures(folder, executor)],
    ['trace/', () => [traceFixture(folder, executor)]],
    ['modules.', () => moduleFixtures(folder, executor)],
    ['geometry.json', () => [geometryFixture(folder)]],
    ['init.json', () => [initFixture(folder)]],
    ['decode.json', () => decodeFixtures(folder, executor)],
    ['data/sentencepiece.json', () => sentencePieceFixtures(folder)],
  ];
  return [
    ...models.map((name) => ({
      name,
      make: () => [...jaxModelFixtures(folder, name, executor), ...jaxBf16Fixtures(folder, name, executor)],
    })),
    ...parts
      .filter(([lead]) => folder.files.some((f) => f.startsWith(lead)))
      .map(([lead, make]) => ({ name: lead.replace(/\/$|\.\w*$/, ''), make })),
  ];
}
