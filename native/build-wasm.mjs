/** Compiles the engine to one WebAssembly module with the npm compiler: `node build-wasm.mjs ISA FILE`. build.mjs calls it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, kernelFiles, LANGUAGE, root, unitText } from './sources.mjs';

const SHELL = ['vm.cc', 'threads.cc', 'probe.cc', 'wasm.cc'].map((f) => `native/${f}`);
const STACK = 1 << 20;
const TARGET = ['-msimd128', '-matomics', '-mbulk-memory'];
const FLAGS = [
  ...LANGUAGE,
  ...TARGET,
  '-Wno-bitwise-conditional-parentheses',
  '-Wno-unused-private-field',
  '-Wno-unused-command-line-argument',
  '-O3',
  '-fno-threadsafe-statics',
  '-fno-c++-static-destructors',
  '-Inative',
  '-I.', // its file system does not go up from a file's folder
];
const LINK = [
  '-mexec-model=reactor',
  // The C library is built for one thread; only one thread allocates (native/wasm.cc).
  `-Wl,--shared-memory,--import-memory,--initial-memory=${4 * STACK},--max-memory=${2 ** 32},--no-check-features`,
  `-Wl,--stack-first,-z,stack-size=${STACK},--export=__stack_pointer`,
];

/** Instruction sets: compiler flags of each. */
export const WASM_ISAS = { relaxed: ['-mrelaxed-simd'], simd128: [] };
export const wasmFiles = () => [...kernelFiles(), ...SHELL, ...headers(), 'native/build-wasm.mjs', 'native/sources.mjs'];

/** Sources as the compiler's own file system has them. */
function tree(files) {
  const result = {};
  for (const file of files) {
    const folders = file.split('/');
    const name = folders.pop();
    let at = result;
    for (const folder of folders) at = at[folder] ??= {};
    at[name] = readFileSync(join(root, file), 'utf8');
  }
  return result;
}

/**
 * clang 21 makes x·y + z a relaxed multiply-add with its operands in the order of an early draft: z, x, y. The order that counts is
 * x, y, z: three more variables in each such function put it right, and cost nothing once V8 has compiled it.
 */
function putSumLast(assembly) {
  const count = (list) => (list ? list.split(', ').length : 0);
  const lines = assembly.split('\n');
  let first = 0; // of the three
  const turned = lines.map((line, i) => {
    const [, word, rest] = /^\t(\S+)\s*(.*)$/.exec(line) ?? [];
    if (word === '.functype' && /^[^\t#]/.test(lines[i - 1])) {
      const locals = /^\t\.local\s+(.*)$/.exec(lines[i + 1])?.[1];
      first = count(/\((.*)\) ->/.exec(rest)[1]) + count(locals);
      return locals === undefined ? `${line}\n\t.local\tv128, v128, v128` : line;
    }
    if (word === '.local') return `${line}, v128, v128, v128`;
    if (!word?.endsWith('.relaxed_madd')) return line;
    const [z, x, y] = [first, first + 1, first + 2];
    return [...[y, x, z].map((v) => `\tlocal.set\t${v}`), ...[x, y, z].map((v) => `\tlocal.get\t${v}`), line].join('\n');
  });
  return turned.join('\n');
}

/** Runs the compiler; throws what it says when it refuses. Assembly comes by standard output: writing it to a file takes minutes. */
async function clang(args, files) {
  const { runClang } = await import('@yowasp/clang');
  let said = '';
  const chunks = [];
  const stderr = (bytes) => bytes && (said += Buffer.from(bytes).toString());
  const stdout = (bytes) => bytes && chunks.push(Buffer.from(bytes));
  try {
    const made = await runClang(['clang++', ...args], files, { stderr, stdout, fetchProgress: () => {} });
    return { made, printed: Buffer.concat(chunks).toString() };
  } catch (error) {
    throw new Error(`${said}${error.message}`, { cause: error });
  }
}

async function compile(isa) {
  const files = { ...tree([...kernelFiles(), ...SHELL, ...headers()]), 'kernels.cc': unitText(isa, '') };
  const flags = [...FLAGS, ...WASM_ISAS[isa], `-DOPENMOE_HAS_${isa.toUpperCase()}`];
  const { printed } = await clang(['-S', 'kernels.cc', '-o', '-', ...flags], files);
  const { made } = await clang(['kernels.s', ...SHELL, '-o', 'module.wasm', ...flags, ...LINK], {
    ...files,
    'kernels.s': putSumLast(printed),
  });
  return made['module.wasm'];
}

const [, script, isa, file] = process.argv;
if (script?.endsWith('build-wasm.mjs')) {
  try {
    writeFileSync(file, await compile(isa));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
