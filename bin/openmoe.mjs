#!/usr/bin/env node
/** Starts the command line: from the sources in a checkout, from dist in a package. */
import { existsSync } from 'node:fs';

const WANTED = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const source = new URL('../src/cli/main.ts', import.meta.url);
const built = new URL('../dist/src/cli/main.js', import.meta.url);

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
const entry = (await sourcesRun()) ? source : built;
if (!existsSync(entry)) refuse('neither sources with tsx nor a built dist are here · run: npm ci');
const { runProcess } = await import(entry.href);
await runProcess();
