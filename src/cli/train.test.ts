/** Training from the command line: a run from its first line to its resumption. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, type Called, engineIsBuilt, writeTexts } from './fake-host.ts';

describe.runIf(engineIsBuilt())('train', () => {
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-train-'));
  const env = { OPENMOE_RUNS: join(folder, 'runs'), OPENMOE_THREADS: '1' };
  const data = join(folder, 'texts');
  const recipe = [
    'tiny',
    `data=${data}`,
    'model.layers=2',
    'model.hidden=32',
    'model.inner=32',
    'tokenizer.vocab=300',
    'train.steps=8',
    'train.batch=2',
    'validation.rows=4',
  ];
  const openmoe = (...argv: string[]): Promise<Called> => call(argv, { env });
  const document = ({ out }: Called): Record<string, unknown> => JSON.parse(out) as Record<string, unknown>;
  const checkpoint = (run: string, step: string): Record<string, string> => {
    const dir = join(run, 'checkpoints', step);
    return Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name)).toString('base64')]));
  };

  beforeAll(() => writeTexts(data));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('--dry-run says what it would take and makes no run', async () => {
    const { exit, out } = await openmoe('train', ...recipe, '--dry-run', '--json');
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      schema: 'openmoe.dry-run/1',
      steps: 8,
      tokens_per_step: 128,
      fits: true,
      estimate: { from: 'probe' },
    });
    expect((await openmoe('runs')).out).toMatch(/^no runs/);
  });

  test('a run is trained, recorded and listed; its folder cannot be used again by mistake', async () => {
    const run = join(folder, 'runs', 'whole');
    const trained = await openmoe('train', ...recipe, '--run', run, '--seed', '3', '--json');
    expect(trained).toMatchObject({ exit: 0, err: expect.stringContaining('finished step=8') as string });
    expect(document(trained)).toMatchObject({
      schema: 'openmoe.train/1',
      run,
      state: 'finished',
      step: 8,
      tokens: 1024,
      resume: null,
      val_by_domain: { left: expect.any(Number) as number },
    });
    expect(readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n')).toHaveLength(8);
    expect(
      readFileSync(join(run, 'routing', 'steps.jsonl'), 'utf8')
        .trim()
        .split('\n'),
    ).toHaveLength(8);
    expect(JSON.parse(readFileSync(join(run, 'origin.json'), 'utf8'))).toMatchObject({
      seed: '--seed',
      'train.batch': 'train.batch=2',
      'model.topK': 'default',
    });
    expect(readFileSync(join(run, 'data.md'), 'utf8')).toContain('left');
    expect(document(await openmoe('runs', '--json'))).toMatchObject({ runs: [{ id: 'whole', state: 'finished', step: 8, steps: 8 }] });
    expect(await openmoe('train', ...recipe, '--run', run)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('E_RUN_EXISTS') as string,
    });
  });

  test('stopped and resumed, a run ends with the bytes of one that was never stopped', async () => {
    const run = join(folder, 'runs', 'halves');
    const signals = new EventEmitter();
    const onWrite = (text: string): void => void (text.startsWith('step=1 ') && signals.emit('SIGINT', 'SIGINT'));
    const argv = ['train', ...recipe, '--run', run, '--seed', '3'];
    const stopped = await call([...argv, '--json'], { env, signals, onWrite });
    expect(stopped.exit).toBe(130);
    const resume = `npx openmoe train --resume --run ${run}`;
    expect(stopped.err).toContain(`go on: ${resume}`);
    const { step } = document(stopped) as { step: number };
    expect(document(stopped)).toMatchObject({ state: 'stopped', resume });
    expect(step).toBeLessThan(8);
    expect((await openmoe('runs')).out).toContain(`halves stopped; go on: ${resume}`);

    expect(await openmoe(...argv, '--resume', 'model.experts=16')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('model.experts: 8 → 16') as string,
    });
    const resumed = await openmoe(...resume.split(' ').slice(2), '--json');
    expect(document(resumed)).toMatchObject({ state: 'finished', step: 8 });
    expect(checkpoint(run, 'step-000008')).toEqual(checkpoint(join(folder, 'runs', 'whole'), 'step-000008'));
    expect(
      readFileSync(join(run, 'metrics.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((l) => (JSON.parse(l) as { step: number }).step),
    ).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('training that diverges ends with exit 7, names the last good checkpoint, and the run says so', async () => {
    const run = join(folder, 'diverged');
    const { exit, err } = await openmoe('train', ...recipe, 'schedule.kind=constant', 'schedule.base=1e6', '--run', run);
    expect(exit).toBe(7);
    expect(err).toMatch(/error\[E_DIVERGED\] training diverged at step \d+.*the last good checkpoint is that of step \d+/);
    expect(JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'))).toMatchObject({ state: 'diverged' });
  });

  test('a run that began with other vector instructions goes on only where that is asked for', async () => {
    const run = join(folder, 'other-isa');
    await openmoe('train', ...recipe, '--run', run, '--max-time', '0s');
    const env = JSON.parse(readFileSync(join(run, 'env.json'), 'utf8')) as { engine: { isa: string } };
    writeFileSync(join(run, 'env.json'), JSON.stringify({ ...env, engine: { ...env.engine, isa: 'neon' } }));
    expect(await openmoe('train', '--resume', '--run', run)).toMatchObject({
      exit: 2,
      err: expect.stringMatching(/E_ISA_CHANGED.*--allow-isa-change/) as string,
    });
    expect(await openmoe('train', '--resume', '--run', run, '--allow-isa-change')).toMatchObject({ exit: 0 });
  });

  test('--max-time stops with exit 0, saved and resumable', async () => {
    const stopped = await openmoe('train', ...recipe, '--run', join(folder, 'runs', 'late'), '--max-time', '0s', '--json');
    expect(stopped.exit).toBe(0);
    expect(document(stopped)).toMatchObject({ state: 'stopped', step: 0, resume: expect.stringContaining('--resume') as string });
  });

  test('--resume without a run is exit 3, with a recipe it begins', async () => {
    expect(await openmoe('train', '--resume', '--run', join(folder, 'runs', 'none'))).toMatchObject({ exit: 3 });
    expect(await openmoe('train', ...recipe, 'train.steps=1', '--resume', '--run', join(folder, 'runs', 'begun'))).toMatchObject({
      exit: 0,
    });
  });

  test("a run's tokenizer takes any text there and back, through pipes too", async () => {
    const text = 'naïve 日本 \u0000 two\n lines ';
    const encoded = await openmoe('tokenizer', 'encode', 'whole', text);
    const decoded = await call(['tokenizer', 'decode', 'whole'], { env, input: encoded.out });
    expect(decoded).toEqual({ exit: 0, out: text, err: '' });
    expect(
      await call(['tokenizer', 'encode', 'whole'], {
        env,
        input: [new TextEncoder().encode(text).subarray(0, 3), new TextEncoder().encode(text).subarray(3)],
      }),
    ).toEqual(encoded);
    expect(await call(['tokenizer', 'encode', 'whole'], { env, input: [Uint8Array.of(0x61, 0xff)] })).toMatchObject({
      exit: 4,
      err: expect.stringContaining('E_UTF8') as string,
    });
    expect(await openmoe('tokenizer', 'decode', 'whole', '1', '300', 'x')).toMatchObject({
      exit: 2,
      err: expect.stringMatching(/300 is not a token id[^]*x is not a token id/) as string,
    });
    const out = join(folder, 'mine.json');
    expect(await openmoe('tokenizer', 'train', data, '--vocab', '280', '--out', out)).toMatchObject({ exit: 0 });
    expect(document(await openmoe('tokenizer', 'info', out, '--json'))).toMatchObject({
      schema: 'openmoe.tokenizer-info/1',
      pieces: 280,
      merges: 22,
    });
    expect(await openmoe('tokenizer', 'train', data, '--out', out)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('E_FILE_EXISTS') as string,
    });
  });

  test('a killed run shows as crashed, with the command that goes on; a damaged one does not hide the others', async () => {
    const path = join(folder, 'runs', 'begun', 'run.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"finished"', '"running"'));
    writeFileSync(join(folder, 'runs', 'late', 'run.json'), '{');
    const { exit, out } = await openmoe('runs', '--json');
    expect(exit).toBe(0);
    const states = Object.fromEntries(
      (JSON.parse(out) as { runs: { id: string; state: string; resume: string | null }[] }).runs.map((r) => [
        r.id,
        [r.state, r.resume !== null],
      ]),
    );
    expect(states).toEqual({ whole: ['finished', false], halves: ['finished', false], begun: ['crashed', true], late: ['damaged', false] });
  });
});

test('doctor answers in full, and exits 3 only where there is no engine', async () => {
  const { exit, out } = await call(['doctor', '--json', '--threads', '1']);
  const facts = JSON.parse(out) as { executor: string | null; problems: unknown[]; peak?: { gflops: number } };
  expect(facts).toMatchObject({ schema: 'openmoe.doctor/1', threads: { count: 1, origin: '--threads' }, node: process.versions.node });
  expect(exit).toBe(facts.executor === null ? 3 : 0);
  if (facts.executor === null) expect(facts.problems).not.toHaveLength(0);
  else expect(facts.peak!.gflops).toBeGreaterThan(0);
});
