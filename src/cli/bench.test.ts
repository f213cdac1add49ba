/** bench from the command line: what it answers, never how fast. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { call, type Called, engineIsBuilt, writeTexts } from './fake-host.ts';

describe.runIf(engineIsBuilt())('bench', () => {
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-bench-'));
  const results = join(folder, 'sub', 'results.jsonl');
  const bench = (...argv: string[]): Promise<Called> =>
    call(['bench', ...argv], { env: { OPENMOE_THREADS: '1', OPENMOE_BENCH_RESULTS: results } });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const number = expect.any(Number) as number;
  const limits = { f32: number, bandwidth: number, update: number };

  test('a kernel gets a row with its floor, beside the best peer, and the document is appended to the results', async () => {
    const peers = join(folder, 'peers.jsonl');
    writeFileSync(
      peers,
      `${JSON.stringify({ peer: 'torch', name: 'attention_forward', batch: 8, heads: 8, seq: 256, head_dim: 32, dtype: 'f32', threads: 1, median_ms: 1e9 })}\n`,
    );
    const { exit, out } = await bench('kernels', '--filter', 'attention 8×8', '--json', '--peer', peers);
    expect(exit).toBe(0);
    const { schema, rows, peak } = JSON.parse(out) as {
      schema: string;
      rows: { floor_s: number; median_s: number; share: number }[];
      peak: object;
    };
    expect([schema, peak]).toEqual(['openmoe.bench/1', expect.objectContaining(limits)]);
    expect(rows).toMatchObject([
      { name: 'attention', shape: '8×8×256×32', dtype: 'f32', threads: 1, bound: 'compute', peer: { who: 'torch', ratio: number } },
    ]);
    expect(rows[0]!.share).toBeCloseTo(rows[0]!.floor_s / rows[0]!.median_s, 12);
    const kept = JSON.parse(readFileSync(results, 'utf8')) as Record<string, unknown>;
    expect(kept).toMatchObject({
      schema: 'openmoe.bench/1',
      time: expect.any(String) as string,
      machine: { load: number },
      rows: [{ name: 'attention' }],
    });
    expect(kept).toHaveProperty('revision');
  });

  test('a step has tokens a second, model FLOPs, the delay of the event loop, and its ops with floor and gap; --profile leaves its timeline', async () => {
    const here = process.cwd();
    process.chdir(folder);
    const { exit, out } = await bench('step', '--config', 'tiny', '--json', '--profile').finally(() => process.chdir(here));
    expect(readFileSync(join(folder, 'profile-tiny.html'), 'utf8')).toContain('<h1>One training step, tiny</h1>');
    expect(JSON.parse(readFileSync(join(folder, 'profile-tiny.trace.json'), 'utf8'))).toHaveProperty('traceEvents');
    expect(exit).toBe(0);
    const { rows, ops } = JSON.parse(out) as {
      rows: object[];
      ops: { op: string; share: number; seconds: number; floor_s: number; gap_s: number }[];
    };
    expect(rows).toMatchObject([{ name: 'training step, tiny', tok_per_s: number, model_flops: number, event_loop_p99_s: number }]);
    expect(ops.map((o) => o.op)).toEqual(expect.arrayContaining(['matmul', 'attention']));
    expect(ops.reduce((sum, o) => sum + o.share, 0)).toBeCloseTo(1, 9);
    for (const o of ops) expect(o.gap_s).toBeCloseTo(o.seconds - o.floor_s, 12);
  });

  test('--quality compares packed weights of a trained run with f32, row by row: 16 bits cost least, 4 bits most', async () => {
    const data = join(folder, 'texts');
    writeTexts(data);
    const recipe = [
      'tiny',
      `data=${data}`,
      'model.layers=2',
      'model.hidden=64',
      'model.inner=64',
      'tokenizer.vocab=300',
      'train.steps=8',
      'train.batch=2',
    ];
    const env = { OPENMOE_THREADS: '1', OPENMOE_RUNS: join(folder, 'runs') };
    expect(await call(['train', ...recipe, '--run', join(folder, 'runs', 'one')], { env })).toMatchObject({ exit: 0 });
    const { exit, out } = await call(['bench', '--quality', 'one', '--json'], { env });
    expect(exit).toBe(0);
    const { schema, quality } = JSON.parse(out) as {
      schema: string;
      quality: { dtype: string; loss: number; difference: number; low: number; high: number }[];
    };
    expect([schema, quality.map((q) => q.dtype)]).toEqual(['openmoe.bench-quality/1', ['f32', 'bf16', 'int8', 'int4']]);
    const [exact, ...packed] = quality;
    for (const q of packed) {
      expect(q.loss - exact!.loss).toBeCloseTo(q.difference, 9);
      expect(q.low <= q.difference && q.difference <= q.high).toBe(true);
    }
    const off = packed.map((q) => Math.abs(q.difference) + (q.high - q.low));
    expect(off[0]).toBeLessThan(off[2]!);
    expect(off[2]).toBeLessThan(1);
  });

  test('what is not known is answered with the nearest name', async () => {
    const near = (text: string) => ({ err: expect.stringContaining(text) as string });
    expect(await bench('kernels', '--filter', 'atention')).toMatchObject({ exit: 3, ...near('did you mean attention?') });
    expect(await bench('step', '--config', 'quik')).toMatchObject({ exit: 3, ...near('did you mean quick?') });
    expect(await bench('kernel')).toMatchObject({ exit: 2, ...near('did you mean kernels?') });
    expect(await bench('kernels', '--peer', join(folder, 'none.jsonl'))).toMatchObject({ exit: 3, ...near('none.jsonl') });
  });
});
