/** Builds the engine with the address and undefined-behaviour sanitizers and runs conformance and fuzzing on it. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const TESTS = ['test/conformance', 'test/machine', 'test/timeline', 'src/exec', 'test/programs.fuzz'];

const run = (command, args, env = {}) => spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status;
const libraryOf = (name) => spawnSync(process.env.CXX ?? 'c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim();

const built = run(process.execPath, ['native/build.mjs', '--sanitize']);
// Node itself is not instrumented: the sanitizers' libraries must be there before it, and its own memory is not searched for leaks.
const failed =
  built ||
  run(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--pool=forks', ...(process.argv.length > 2 ? process.argv.slice(2) : TESTS)],
    {
      OPENMOE_BUILD: 'build-sanitize',
      LD_PRELOAD: `${libraryOf('libasan.so')} ${libraryOf('libubsan.so')}`,
      ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=16', // a test measures what freed programs leave
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
  );
process.exitCode = failed ?? 1;
