/** The whole path in a short form, and the verbs that look at what it leaves. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, type Called, engineIsBuilt, writeTexts } from './fake-host.ts';

interface Finding {
  readonly id: string;
  readonly verdict: string;
  readonly layers: readonly { readonly layer: number; readonly verdict: string }[];
}

describe.runIf(engineIsBuilt())('quickstart', () => {
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-quickstart-'));
  const env = { OPENMOE_RUNS: folder, OPENMOE_THREADS: '1' };
  const run = join(folder, 'first');
  const openmoe = (...argv: string[]): Promise<Called> => call(argv, { env });
  const small = [
    'data.length=64',
    'tokenizer.vocab=300',
    'model.vocab=512',
    'model.hidden=32',
    'model.inner=32',
    'model.heads=2',
    'model.headSize=16',
    'model.groupSize=256',
    'model.experts=8',
  ];
  let done: Called;
  let document: { findings: readonly Finding[]; report: string; loss: Record<string, number> } & Record<string, unknown>;

  beforeAll(async () => {
    writeTexts(join(folder, 'texts'));
    done = await openmoe('quickstart', `data=${join(folder, 'texts')}`, ...small, 'train.seconds=1', '--run', run, '--json');
    document = JSON.parse(done.out) as typeof document;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('--json is the documented document', () => {
    expect(done.exit).toBe(0);
    const number = expect.any(Number) as number;
    expect(document).toMatchObject({
      schema: 'openmoe.quickstart/1',
      run,
      state: 'finished',
      seconds: number,
      tokens: number,
      params: { total: number, active: number },
      loss: { train: number, val: number, unigram: number, bigram: number },
      val_by_domain: { left: number, right: number },
      tok_per_s: number,
      share_of_peak: number,
      report: join(run, 'report.html'),
    });
    expect(document.findings.map((f) => f.id)).toEqual([
      'context-independent-specialization',
      'early-routing-learning',
      'drop-towards-the-end',
    ]);
    for (const finding of document.findings) expect(finding.layers.map((l) => l.layer)).toEqual([1, 3]);
    expect(document.loss['bigram']).toBeLessThan(document.loss['unigram']!);
  });

  test('the number of steps is fixed from a speed probe, in the recipe that the run keeps', () => {
    const kept = JSON.parse(readFileSync(join(run, 'recipe.json'), 'utf8')) as { train: { steps: number } };
    expect(kept.train.steps).toBe(document['steps']);
    expect(kept.train.steps).toBeGreaterThan(0);
    expect(JSON.parse(readFileSync(join(run, 'origin.json'), 'utf8'))).toMatchObject({ 'train.steps': 'speed probe' });
  });

  test('there are a report and three samples', () => {
    expect(readFileSync(document.report, 'utf8')).toMatch(/^<!doctype html>/i);
    expect(readFileSync(join(run, 'samples.jsonl'), 'utf8').trim().split('\n')).toHaveLength(3);
  });

  test('resumed when it is finished, it trains nothing and finds the same', async () => {
    const again = await openmoe('quickstart', '--resume', '--run', run, '--json');
    const same = JSON.parse(again.out) as typeof document;
    expect(again.exit).toBe(0);
    for (const key of ['tokens', 'loss', 'val_by_domain', 'findings', 'samples', 'steps']) expect(same[key], key).toEqual(document[key]);
  });

  /** Plot numbers its markers from the first of the process on. */
  const page = (): string => readFileSync(document.report, 'utf8').replaceAll(/plot-marker-\d+/g, 'plot-marker');

  test('report finds what quickstart found', async () => {
    const before = page();
    rmSync(document.report);
    const { exit, out } = await openmoe('report', 'first', '--json');
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      schema: 'openmoe.report/1',
      findings: document.findings,
      baselines: { unigram: document.loss['unigram'], bigram: document.loss['bigram'] },
    });
    expect(page() === before, 'the same page').toBe(true); // unlike toBe, without printing half a megabyte
  });

  test.each(['load', 'drops', 'token'])('inspect %s: text, and the same as JSON, CSV and SVG', async (what) => {
    const words = ['inspect', 'first', what, ...(what === 'token' ? ['router'] : [])];
    const [shown, data] = [await openmoe(...words), await openmoe(...words, '--json')];
    expect(shown.exit).toBe(0);
    expect(shown.out.split('\n').length).toBeGreaterThan(3);
    const { schema, rows, files } = JSON.parse(data.out) as {
      schema: string;
      rows: readonly object[];
      files: { csv: string; svg: string };
    };
    expect(schema).toBe(`openmoe.inspect-${what}/1`);
    expect(readFileSync(files.csv, 'utf8').trim().split('\n')).toHaveLength(rows.length + 1);
    expect(readFileSync(files.svg, 'utf8')).toMatch(/^<svg/);
  });

  test('inspect token needs a text, and the others take none', async () => {
    expect(await openmoe('inspect', 'first', 'token')).toMatchObject({ exit: 2 });
    expect(await openmoe('inspect', 'first', 'load', 'the')).toMatchObject({ exit: 2 });
    expect(await openmoe('inspect', 'first', 'lode')).toMatchObject({ exit: 2 });
  });

  test('generate writes the same for the same seed, line by line from standard input, each as if alone', async () => {
    const argv = ['generate', 'first', '--max-tokens', '8', '--seed', '4', '--json'];
    const alone = await openmoe(...argv.slice(0, 2), 'the router', ...argv.slice(2));
    const lines = await call(argv, { env, input: 'each token\n\nthe router\n' });
    const texts = ({ out }: Called): string[] => (JSON.parse(out) as { generations: { text: string }[] }).generations.map((g) => g.text);
    expect(texts(alone)).toHaveLength(1);
    expect(texts(lines)).toEqual([expect.any(String), texts(alone)[0]]);
    expect((await openmoe(...argv.slice(0, 2), 'the router', ...argv.slice(2, -1))).out).toBe(`the router${texts(alone)[0]}\n`);
  });

  test('generate --show-experts names the experts of every MoE layer in plain text', async () => {
    const { out } = await openmoe('generate', 'first', 'the', '--max-tokens', '3', '--greedy', '--show-experts');
    expect(out).not.toContain('\x1b');
    expect(out).toMatch(/⟨\(?\d\)?,\(?\d\)? \(?\d\)?,\(?\d\)?⟩/);
  });

  test('a checkpoint that is not there is exit 3, a damaged one 4', async () => {
    expect(await openmoe('generate', 'first@7777777', 'x')).toMatchObject({ exit: 3 });
    const steps = document['steps'] as number;
    const config = join(run, 'checkpoints', `step-${String(steps).padStart(6, '0')}`, 'config.json');
    expect(existsSync(config)).toBe(true);
    rmSync(config);
    expect(await openmoe('generate', `first@${steps}`, 'x')).toMatchObject({
      exit: 4,
      err: expect.stringContaining('config.json') as string,
    });
    expect(await openmoe('generate', 'first', 'x', '--max-tokens', '1')).toMatchObject({
      exit: 0,
      err: expect.stringContaining(`checkpoint ${steps} is damaged`) as string,
    });
  });
});
