/** Builds the addon with whatever C++ compiler is there. Called by `npm ci`; never fails an install: it says what is missing. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sanitize = process.argv.includes('--sanitize');
const out = join(root, sanitize ? 'build-sanitize' : 'build');

/** Instruction sets by architecture: name → compiler flags. The best that the processor has is chosen when the addon loads. */
const AVX512 = ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx2', '-mfma', '-mf16c', '-mprefer-vector-width=512'];
const ISAS = {
  x64: {
    avx512_bf16: [...AVX512, '-mavx512bf16', '-mavx512vnni'],
    avx512: AVX512,
    avx2: ['-mavx2', '-mfma', '-mf16c'],
  },
  arm64: { neon: [] },
};
const isas = ISAS[process.arch];

const COMMON = [
  '-std=c++20',
  '-fPIC',
  '-fvisibility=hidden',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-math-errno',
  '-ffp-contract=fast',
  '-fwrapv', // exponents of floats are added as integers, and ids may be anything: overflow wraps
  '-Wall',
  '-Wno-psabi',
  '-Wno-unused-function',
  ...(sanitize ? ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer'] : ['-O3']),
];
const LINK = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup', '-bundle'] : ['-shared', '-pthread'];

/** The first compiler that answers, or undefined. */
function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  for (const name of candidates) {
    const answer = spawnSync(name, ['--version'], { encoding: 'utf8' });
    if (answer.status === 0) return { name, version: answer.stdout.split('\n')[0] };
  }
  return undefined;
}

const kernelFiles = () => [
  ...readdirSync(join(root, 'src', 'ops'))
    .filter((f) => f.endsWith('.cc'))
    .sort()
    .map((f) => join(root, 'src', 'ops', f)),
  join(root, 'native', 'fused.cc'),
];
const shellFiles = ['vm.cc', 'threads.cc', 'probe.cc', 'node.cc'].map((f) => join(root, 'native', f));
const headers = () =>
  readdirSync(join(root, 'native'))
    .filter((f) => f.endsWith('.h'))
    .sort()
    .map((f) => join(root, 'native', f));

function stampOf(compiler) {
  const hash = createHash('sha256');
  for (const file of [...kernelFiles(), ...shellFiles, ...headers(), fileURLToPath(import.meta.url)])
    hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.update(JSON.stringify([compiler, COMMON, isas, process.platform, process.arch])).digest('hex');
}

/** One translation unit per instruction set: every kernel, in that set's namespace. */
function writeUnit(folder, isa) {
  const unit = join(folder, `kernels-${isa}.cc`);
  const includes = kernelFiles().map((f) => `#include "${f}"`);
  const lists = `namespace openmoe::OPENMOE_ISA {\nconst Kernel* kernels = nullptr;\nconst BlockOp* block_ops = nullptr;\n}`;
  writeFileSync(unit, [`#define OPENMOE_ISA ${isa}`, '#include "kernel.h"', lists, ...includes, ''].join('\n'));
  return unit;
}

const run = (command, args) =>
  new Promise((resolve) => {
    let said = '';
    const child = spawn(command, args);
    child.stdout.on('data', (d) => (said += d));
    child.stderr.on('data', (d) => (said += d));
    child.on('error', (e) => resolve({ ok: false, said: String(e) }));
    child.on('close', (code) => resolve({ ok: code === 0, said }));
  });

/** Runs jobs two at a time. */
async function inPairs(jobs) {
  const results = [];
  const next = jobs.values();
  const worker = async () => {
    for (const job of next) results.push(await job());
  };
  await Promise.all([worker(), worker()]);
  return results;
}

async function build() {
  if (!isas) return `there are no kernels for ${process.arch} yet`;
  if (process.platform === 'win32') return 'Windows is not supported yet: use WSL';
  const compiler = findCompiler();
  if (!compiler) return 'no C++ compiler was found';
  mkdirSync(out, { recursive: true });
  const stampFile = join(out, 'stamp.json');
  const stamp = stampOf(compiler);
  const addon = join(out, 'openmoe.node');
  if (existsSync(addon) && existsSync(stampFile) && JSON.parse(readFileSync(stampFile, 'utf8')).stamp === stamp) return undefined;
  // A build of its own folder: two builds at once must not mix their objects, nor a failed one leave an older addon in place.
  const work = mkdtempSync(join(out, 'work-'));
  try {
    const wrong = await compile(compiler, work);
    rmSync(stampFile, { force: true });
    rmSync(addon, { force: true });
    if (wrong) return wrong;
    renameSync(join(work, 'openmoe.node'), addon);
    writeFileSync(stampFile, JSON.stringify({ stamp, compiler, isas: Object.keys(isas) }));
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Compiles and links in that folder. Returns what went wrong, if anything did. */
async function compile(compiler, work) {
  const include = createRequire(import.meta.url)('node-api-headers').include_dir;
  const started = Date.now();
  const flags = [
    ...COMMON,
    `-I${join(root, 'native')}`,
    `-I${include}`,
    '-DNAPI_VERSION=8',
    ...Object.keys(isas).map((isa) => `-DOPENMOE_HAS_${isa.toUpperCase()}`),
  ];
  const units = [
    ...Object.entries(isas).map(([isa, extra]) => ({ source: writeUnit(work, isa), object: join(work, `kernels-${isa}.o`), extra })),
    ...shellFiles.map((source) => ({ source, object: join(work, `${basename(source)}.o`), extra: [] })),
  ];
  const compiled = await inPairs(units.map((u) => () => run(compiler.name, ['-c', u.source, '-o', u.object, ...flags, ...u.extra])));
  const linked = compiled.every((r) => r.ok)
    ? await run(compiler.name, [
        ...LINK,
        ...(sanitize ? ['-fsanitize=address,undefined'] : []),
        '-o',
        join(work, 'openmoe.node'),
        ...units.map((u) => u.object),
      ])
    : { ok: false, said: '' };
  const said = [...compiled, linked].map((r) => r.said).join('');
  writeFileSync(join(out, 'build.log'), said);
  if (!linked.ok) {
    return `${compiler.name} (${compiler.version}) could not compile it; its message is in ${join(out.slice(root.length + 1), 'build.log')}`;
  }
  console.log(`openmoe: built the native engine for ${Object.keys(isas).join(' and ')} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return undefined;
}

const wrong = process.env.OPENMOE_SKIP_BUILD ? 'OPENMOE_SKIP_BUILD is set' : await build();
if (wrong) {
  console.error(`openmoe: the native engine was not built: ${wrong}.
  Debian, Ubuntu: apt-get install g++    Fedora: dnf install gcc-c++    macOS: xcode-select --install
  Then run: npm run build`);
}
