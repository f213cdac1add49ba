/** What both builds compile: the kernels in one unit per instruction set, and the files whose change makes a build stale. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Language and meaning, whatever the target. */
export const LANGUAGE = [
  '-std=c++20',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-math-errno',
  '-ffp-contract=fast',
  '-fwrapv', // exponents of floats are added as integers, and ids may be anything: overflow wraps
  '-Wall',
  '-Wno-unused-function',
];

const filesIn = (folder, end) =>
  readdirSync(join(root, folder))
    .filter((f) => f.endsWith(end))
    .sort()
    .map((f) => `${folder}/${f}`);

/** Paths from the root. */
export const kernelFiles = () => [...filesIn('src/ops', '.cc'), 'native/fused.cc'];
export const headers = () => filesIn('native', '.h');

/** One translation unit: every kernel, in that instruction set's namespace. `from` leads to the root. */
export const unitText = (isa, from) =>
  [
    `#define OPENMOE_ISA ${isa}`,
    '#include "kernel.h"',
    'namespace openmoe::OPENMOE_ISA {\nconst Kernel* kernels = nullptr;\nconst BlockOp* block_ops = nullptr;\n}',
    ...kernelFiles().map((f) => `#include "${from}${f}"`),
    '',
  ].join('\n');

/** A hash of those files (paths from the root) and whatever else a build depends on. */
export function stampOf(files, rest) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(join(root, file)));
  return hash.update(JSON.stringify(rest)).digest('hex');
}
