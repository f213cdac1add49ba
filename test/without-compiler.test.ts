/** Which executor computes, and a run on one that comes from a machine without a C++ compiler. */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTexts } from '../src/cli/fake-host.ts';
import { wasmIsas } from '../src/exec/index.ts';

const root = resolve(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'openmoe-wasm-'));
const built = wasmIsas().length > 0;
if (!built) console.log('skipped: npm run build makes the module');

beforeAll(() => {
  for (const name of ['none', 'module']) mkdirSync(join(folder, name));
  for (const file of ['openmoe-relaxed.wasm', 'openmoe-simd128.wasm'])
    if (existsSync(join(root, 'build', file))) copyFileSync(join(root, 'build', file), join(folder, 'module', file));
  writeTexts(join(folder, 'texts'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
/** A command line in a process of its own; `build` names the folder in which it finds engines. */
function openmoe(args: readonly string[], { build, ...env }: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const { OPENMOE_ISA: _, OPENMOE_EXECUTOR: __, ...inherited } = process.env;
  const where = build === undefined ? {} : { OPENMOE_BUILD: relative(root, join(folder, build)) };
  const child = spawn(process.execPath, ['bin/openmoe.mjs', ...args], { cwd: root, env: { ...inherited, ...where, ...env } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (d: Buffer) => (out += d.toString()));
  child.stderr.on('data', (d: Buffer) => (err += d.toString()));
  return new Promise((done) => child.on('close', (code) => done({ code, out, err })));
}
const doctor = async (env: Readonly<Record<string, string>>): Promise<unknown> =>
  JSON.parse((await openmoe(['doctor', '--json'], env)).out);

test.runIf(built)('without the addon WebAssembly computes, and doctor says why', async () => {
  const isas = wasmIsas();
  expect(await doctor({ build: 'module' })).toMatchObject({
    executor: 'wasm',
    isa: isas[0],
    isas,
    why: expect.stringMatching(/native engine is not built/) as string,
    peak: { gflops: expect.any(Number) as number },
  });
  expect(await doctor({ build: 'module', OPENMOE_ISA: 'wasm-simd128' })).toMatchObject({ executor: 'wasm', isa: 'wasm-simd128' });
});

test('without either there is no engine, unless the reference is asked for', async () => {
  expect(await doctor({ build: 'none' })).toMatchObject({
    executor: null,
    problems: [{ message: expect.stringMatching(/not built/) as string }],
  });
  expect(await doctor({ build: 'none', OPENMOE_EXECUTOR: 'ref' })).toMatchObject({
    executor: 'ref',
    why: expect.stringMatching(/OPENMOE_EXECUTOR/) as string,
  });
  expect(await openmoe(['doctor'], { OPENMOE_EXECUTOR: 'gpu' })).toMatchObject({
    code: 2,
    err: expect.stringMatching(/gpu: no such executor/) as string,
  });
});

test.runIf(built)(
  'a run in WebAssembly says so, goes on with the bits that it would have had, and not unasked on another engine',
  async () => {
    const settings = [`data=${join(folder, 'texts')}`, 'train.steps=8', 'checkpoints.probeShares=[0,0.5,1]'];
    const env = { build: 'module' };
    const [whole, halted] = [join(folder, 'whole'), join(folder, 'halted')];
    const trained = await openmoe(['train', 'tiny', ...settings, '--run', whole, '--threads', '2'], env);
    expect(trained.code, trained.err).toBe(0);
    expect(JSON.parse(readFileSync(join(whole, 'env.json'), 'utf8'))).toMatchObject({ engine: { executor: 'wasm', isa: wasmIsas()[0] } });
    expect((await openmoe(['train', 'tiny', ...settings, '--run', halted, '--threads', '1'], env)).code).toBe(0);
    const weights = (run: string): Uint8Array => readFileSync(join(run, 'checkpoints', 'step-000008', 'model.safetensors'));
    expect(Buffer.compare(weights(halted), weights(whole))).toBe(0);
    const other = await openmoe(['train', '--resume', '--run', whole], { build: 'module', OPENMOE_EXECUTOR: 'ref' });
    expect(other).toMatchObject({ code: 2, err: expect.stringMatching(/began with wasm-.*--allow-isa-change/s) as string });
  },
  120_000,
);
