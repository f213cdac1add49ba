/** Prints lines per folder, and what is longer than the house likes. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const tracked = execFileSync('git', ['ls-files', 'src', 'native', 'recipes', 'test', 'tools', 'bench', 'docs'], { encoding: 'utf8' }).split(
  '\n',
);
const files = tracked
  .filter((f) => /\.(ts|tsx|cc|h|mjs)$/.test(f))
  .map((path) => ({ path, lines: readFileSync(path, 'utf8').split('\n').length - 1 }));

const folderOf = (path: string): string =>
  path
    .split('/')
    .slice(0, path.startsWith('src/') ? 2 : 1)
    .join('/');
const kindOf = (path: string): 'code' | 'tests' => (/\.test\.ts$|^test\//.test(path) ? 'tests' : 'code');
const folders = new Map<string, { code: number; tests: number; files: number }>();
for (const { path, lines } of files) {
  const entry = folders.get(folderOf(path)) ?? { code: 0, tests: 0, files: 0 };
  entry[kindOf(path)] += lines;
  entry.files++;
  folders.set(folderOf(path), entry);
}
const row = (name: string, code: unknown, tests: unknown, count: unknown): string =>
  `${name.padEnd(20)}${String(code).padStart(8)}${String(tests).padStart(8)}${String(count).padStart(8)}`;
console.log(row('folder', 'code', 'tests', 'files'));
for (const [name, { code, tests, files: count }] of [...folders].sort()) console.log(row(name, code, tests, count));
const total = (kind: 'code' | 'tests'): number => files.filter((f) => kindOf(f.path) === kind).reduce((n, f) => n + f.lines, 0);
console.log(row('all', total('code'), total('tests'), files.length));
const sorted = files
  .filter((f) => kindOf(f.path) === 'code')
  .map((f) => f.lines)
  .sort((a, b) => a - b);
console.log(`median file ${sorted[Math.floor(sorted.length / 2)] ?? 0} lines (aim 120), longest:`);
for (const { path, lines } of files.toSorted((a, b) => b.lines - a.lines).slice(0, 8))
  console.log(`  ${String(lines).padStart(5)} ${path}`);
