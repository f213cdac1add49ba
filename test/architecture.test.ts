/** Who may lean on whom: the arrows of the house, and its habits that a machine can check. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** A folder reaches what its arrows reach, and everyone reaches `base`. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  graph: [],
  ops: ['graph'],
  compile: ['ops'],
  exec: ['compile'],
  nn: ['ops'],
  hub: [],
  models: ['nn'],
  checkpoints: ['models'],
  text: [],
  data: ['text'],
  runs: [],
  train: ['models', 'checkpoints', 'data', 'exec', 'runs', 'infer'],
  infer: ['models', 'checkpoints', 'text', 'exec', 'runs'],
  routing: ['infer'],
  report: ['routing'],
  bench: ['train'],
  parity: ['train'],
  cli: ['report', 'bench', 'parity', 'train', 'hub'],
};
const reach = (folder: string): string[] => [folder, 'base', ...(ARROWS[folder] ?? []).flatMap(reach)];

const NODE_ROOMS = ['exec/cpu', 'hub', 'runs', 'cli'];
const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.ts'))
  .sort();
const source = (file: string): string => readFileSync(join('src', file), 'utf8');
const product = files.filter((f) => !f.endsWith('.test.ts'));

const importsOf = (file: string): string[] => [...source(file).matchAll(/(?:from|import) ['"]([^'"]+)['"]/g)].map((m) => m[1]!);
const target = (file: string, path: string): string => normalize(join(dirname(file), path));

test('every folder has its place in the arrows', () => {
  for (const file of files.filter((f) => f.includes('/'))) expect(Object.keys(ARROWS), file).toContain(file.split('/')[0]);
});

describe('imports', () => {
  test.each(product.filter((f) => f.includes('/')))('%s follows the arrows, and enters other folders by their door', (file) => {
    const from = file.split('/')[0]!;
    for (const path of importsOf(file).filter((p) => p.startsWith('.'))) {
      const to = target(file, path);
      const room = to.split('/')[0]!;
      if (to.startsWith('..') || room === from) continue;
      expect(reach(from), `${file}: ${from} → ${room} is not an arrow`).toContain(room);
      expect(to, `${file} enters ${room} beside its index.ts`).toBe(`${room}/index.ts`);
    }
  });

  test('only rooms that may touch Node do', () => {
    for (const file of product) {
      const allowed = /(^|\/)node\.ts$|\.node\.ts$/.test(file) || NODE_ROOMS.some((room) => file.startsWith(`${room}/`));
      if (!allowed)
        expect(
          importsOf(file).filter((p) => p.startsWith('node:')),
          file,
        ).toEqual([]);
    }
  });

  test('no cycle between folders', () => {
    for (const folder of Object.keys(ARROWS))
      for (const next of ARROWS[folder]!) expect(reach(next), `${folder} → ${next} → …`).not.toContain(folder);
  });
});

describe('habits', () => {
  test('no op is named by a string outside ops', () => {
    const names = [
      ...files
        .filter((f) => f.startsWith('ops/'))
        .map(source)
        .join('\n')
        .matchAll(/(?:op|unary|binary|declare)\(\s*'([a-z_0-9]+)'/g),
    ].map((m) => m[1]!);
    expect(names.length).toBeGreaterThan(40);
    const distinctive = names.filter((n) => n.includes('_'));
    for (const file of product.filter((f) => !f.startsWith('ops/')))
      for (const name of distinctive) expect(source(file), `${file} names op ${name}`).not.toMatch(new RegExp(`['"\`]${name}['"\`]`));
  });

  test.each(product)('%s has a header, no default export, and at most 400 lines', (file) => {
    const text = source(file);
    expect(text, 'header').toMatch(/^(#!.*\n)?\/\*\*/);
    expect(text).not.toMatch(/^export default/m);
    if (!/^\/\*\*.*long because/.test(text)) expect(text.split('\n').length).toBeLessThanOrEqual(401);
  });
});
