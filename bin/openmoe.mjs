#!/usr/bin/env node
/** Starts the command line: from dist in a package, and in a checkout where nothing has changed since it was built; else from the sources. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const WANTED = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const source = new URL('../src/cli/main.ts', import.meta.url);
const built = new URL('../dist/src/cli/main.js', import.meta.url);

/** Compiling sources on the way takes half a second of every start. */
function builtIsFresh() {
  const time = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const made = time(built);
  const folders = ['../src/', '../recipes/'].map((folder) => new URL(folder, import.meta.url)).filter((folder) => existsSync(folder));
  const names = (folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${fileURLToPath(folder)}${name}`);
  return made > 0 && folders.flatMap(names).every((file) => time(file) < made);
}

/** tsx is a development dependency: a package, or a checkout without those, has none. */
async function sourcesRun() {
  if (!existsSync(source)) return false;
  try {
    const { register } = await import('tsx/esm/api');
    register();
    return true;
  } catch (error) {
    if (error?.code === 'ERR_MODULE_NOT_FOUND') return false;
    throw error;
  }
}

function refuse(message) {
  console.error(`error[E_INSTALLATION] ${message}`);
  process.exit(3);
}

if (major < WANTED[0] || (major === WANTED[0] && minor < WANTED[1]))
  refuse(`Node ${process.versions.node} is too old · install Node ${WANTED.join('.')} or later`);
const entry = builtIsFresh() || !(await sourcesRun()) ? built : source;
if (!existsSync(entry)) refuse('neither sources with tsx nor a built dist are here · run: npm ci');
const { runProcess } = await import(entry.href);
await runProcess();
