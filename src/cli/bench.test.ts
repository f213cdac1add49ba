/** bench from the command line: what it answers, never how fast. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { call, type Called, engineIsBuilt } from './fake-host.ts';

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

  test('what is not known is answered with the nearest name', async () => {
    const near = (text: string) => ({ err: expect.stringContaining(text) as string });
    expect(await bench('kernels', '--filter', 'atention')).toMatchObject({ exit: 3, ...near('did you mean attention?') });
    expect(await bench('step', '--config', 'quik')).toMatchObject({ exit: 3, ...near('did you mean quick?') });
    expect(await bench('kernel')).toMatchObject({ exit: 2, ...near('did you mean kernels?') });
    expect(await bench('kernels', '--peer', join(folder, 'none.jsonl'))).toMatchObject({ exit: 3, ...near('none.jsonl') });
  });
});
