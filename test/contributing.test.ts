/** The worked examples of CONTRIBUTING.md, taken from its text: they compile, run and pass in a copy of the sources. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const copy = mkdtempSync(join(tmpdir(), 'openmoe-contributing-'));
const blocks = [...readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8').matchAll(/```\w+ (file|line)=(\S+)\n([\s\S]*?)```/g)];

beforeAll(() => {
  for (const part of ['src', 'native', 'test', 'recipes', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const [, kind, path, text] of blocks) (kind === 'file' ? writeFileSync : appendFileSync)(join(copy, path!), text!);
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const run = (command: string, args: readonly string[]): string =>
  execFileSync(command, args, {
    cwd: copy,
    encoding: 'utf8',
    env: { ...process.env, OPENMOE_TEST_REPORT: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
const tool = (name: string): string => join(root, 'node_modules', '.bin', name);

test('each example is two files and one line', () => {
  expect(blocks.map(([, kind, path]) => `${kind} ${path}`)).toEqual([
    'file src/ops/softplus.ts',
    'file src/ops/softplus.cc',
    'line src/ops/index.ts',
    'file src/routing/confidence.ts',
    'file src/routing/confidence.test.ts',
    'line src/routing/index.ts',
  ]);
});

test('they typecheck', () => expect(run(tool('tsc'), ['--noEmit', '-p', '.'])).toBe(''));

test('the new op conforms on every executor, and the new metric keeps its law', () => {
  run(process.execPath, ['native/build.mjs']);
  const told = run(tool('vitest'), [
    'run',
    '-t',
    'softplus|confidence',
    'test/conformance.test.ts',
    'test/gradients.test.ts',
    'test/decompositions.test.ts',
    'src/routing/confidence.test.ts',
  ]);
  expect(told).toMatch(/passed/);
  expect(told).not.toMatch(/failed/);
}, 600_000);
