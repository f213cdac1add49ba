/**
 * Builds the addon with whatever C++ compiler is there, and the WebAssembly module with an npm compiler where that fails, or where
 * `--all` asks for both. Called by `npm ci`; never fails an install: it says what is missing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { WASM_ISAS, wasmFiles } from './build-wasm.mjs';
import { headers, kernelFiles, LANGUAGE, root, stampOf, unitText } from './sources.mjs';

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
  arm64: { neon_bf16: ['-march=armv8.2-a+bf16+i8mm'], neon: [] },
};
const isas = ISAS[process.arch];

const COMMON = [
  ...LANGUAGE,
  '-fPIC',
  '-fvisibility=hidden',
  '-Wno-psabi',
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

const shellFiles = ['system.cc', 'vm.cc', 'threads.cc', 'probe.cc', 'node.cc', 'node-memory.cc', 'node-program.cc'].map(
  (f) => `native/${f}`,
);
const addonFiles = () => [...kernelFiles(), ...shellFiles, ...headers(), 'native/build.mjs', 'native/sources.mjs'];

function writeUnit(folder, isa) {
  const unit = join(folder, `kernels-${isa}.cc`);
  writeFileSync(unit, unitText(isa, `${root}/`));
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

/** Is what was built of the same sources, by the same compiler? */
function fresh(files, stampFile, stamp) {
  if (![...files, stampFile].every((f) => existsSync(f))) return false;
  return JSON.parse(readFileSync(stampFile, 'utf8')).stamp === stamp;
}

/**
 * Has `make` fill a folder of its own and moves `files` out of it: two builds at once must not mix what they make, nor a failed one
 * leave older files in place. Returns what went wrong, if anything did.
 */
async function replace(files, stampFile, { facts, make }) {
  const work = mkdtempSync(join(out, 'work-'));
  try {
    const wrong = await make(work);
    for (const file of [stampFile, ...files]) rmSync(file, { force: true });
    if (wrong) return wrong;
    for (const file of files) renameSync(join(work, basename(file)), file);
    writeFileSync(stampFile, JSON.stringify(facts));
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function buildAddon() {
  const compiler = findCompiler();
  const stampFile = join(out, 'stamp.json');
  const addon = join(out, 'openmoe.node');
  const make = (work) => {
    if (!isas) return `there are no kernels for ${process.arch} yet`;
    if (process.platform === 'win32') return 'Windows is not supported yet: use WSL';
    return compiler ? compile(compiler, work) : 'no C++ compiler was found';
  };
  const stamp = stampOf(addonFiles(), [compiler, COMMON, isas, process.platform, process.arch]);
  if (fresh([addon], stampFile, stamp)) return undefined;
  return replace([addon], stampFile, { facts: { stamp, compiler, isas: Object.keys(isas ?? {}) }, make });
}

async function buildWasm() {
  const names = Object.keys(WASM_ISAS);
  const stampFile = join(out, 'wasm.json');
  const modules = names.map((isa) => join(out, `openmoe-${isa}.wasm`));
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const stamp = stampOf(wasmFiles(), optionalDependencies);
  if (fresh(modules, stampFile, stamp)) return undefined;
  if (!existsSync(join(root, 'node_modules', '@yowasp', 'clang'))) return 'the optional package @yowasp/clang is not installed';
  const started = Date.now();
  const make = async (work) => {
    const script = join(root, 'native', 'build-wasm.mjs');
    const results = await inPairs(modules.map((file, i) => () => run(process.execPath, [script, names[i], join(work, basename(file))])));
    const said = results.map((r) => r.said).join('');
    writeFileSync(join(out, 'build-wasm.log'), said);
    if (!results.every((r) => r.ok)) return 'the npm compiler could not compile it; its message is in build/build-wasm.log';
    console.log(`openmoe: built the engine for WebAssembly in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    return undefined;
  };
  return replace(modules, stampFile, { facts: { stamp, isas: names }, make });
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
    ...shellFiles.map((file) => ({ source: join(root, file), object: join(work, `${basename(file)}.o`), extra: [] })),
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

mkdirSync(out, { recursive: true });
const wrong = process.env.OPENMOE_SKIP_BUILD ? 'OPENMOE_SKIP_BUILD is set' : await buildAddon();
if (wrong) {
  console.error(`openmoe: the native engine was not built: ${wrong}.
  Debian, Ubuntu: apt-get install g++    Fedora: dnf install gcc-c++    macOS: xcode-select --install
  Then run: npm run build`);
}
if (!process.env.OPENMOE_SKIP_BUILD && !sanitize && (wrong || process.argv.includes('--all'))) {
  const missing = await buildWasm();
  if (missing) console.error(`openmoe: the engine for WebAssembly was not built: ${missing}.`);
  else if (wrong) console.error('openmoe computes in WebAssembly until then: several times slower.');
}
