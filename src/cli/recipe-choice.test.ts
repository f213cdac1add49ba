/** From the words of a command line to a recipe, and where each setting came from. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { RECIPES } from '../../recipes/index.ts';
import { UserError } from '../base/index.ts';
import { type Assignment, chooseRecipe, differences, isAssignment, leaves } from './recipe-choice.ts';

const typed = (...texts: string[]): Assignment[] => texts.map((text) => ({ text, origin: text }));
const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'none',
    (e: unknown) => (e instanceof UserError ? `${e.code} ${e.exit}` : e),
  );

describe('origins', () => {
  test('every setting has one: an assignment, else the default, else the recipe', async () => {
    const { recipe, origin } = await chooseRecipe('tiny', [
      ...typed('model.experts=16', 'schedule.warmup=7'),
      { text: 'seed=5', origin: '--seed' },
    ]);
    expect(recipe).toMatchObject({ seed: 5, model: { experts: 16 }, schedule: { warmup: 7 } });
    expect(Object.keys(origin)).toEqual(leaves(recipe).map(([path]) => path));
    expect(origin).toMatchObject({
      seed: '--seed',
      'model.experts': 'model.experts=16',
      'model.topK': 'default',
      'model.hidden': 'recipe tiny',
      'losses.balance': 'default',
    });
  });

  test('the last of two assignments holds, and ~ gives back the default', async () => {
    const { recipe, origin } = await chooseRecipe('tiny', typed('validation.rows=1', 'validation.rows=2', '~probe.sequencesPerDomain'));
    expect(recipe).toMatchObject({ validation: { rows: 2 }, probe: { sequencesPerDomain: 32 } });
    expect(origin).toMatchObject({ 'validation.rows': 'validation.rows=2', 'probe.sequencesPerDomain': 'default' });
  });

  test('data=PATH is a folder, absolute so that the run can be resumed from elsewhere', async () => {
    const { recipe, origin } = await chooseRecipe('tiny', typed('data=texts'));
    expect(recipe.data.source).toBe(resolve('texts'));
    expect(origin['data.source']).toBe('data=texts');
  });
});

test('differences name the setting and both values', () => {
  expect(differences({ a: { b: 1, c: [1] }, d: 'x' }, { a: { b: 2, c: [1] }, e: null })).toEqual([
    'a.b: 1 → 2',
    'd: "x" → absent',
    'e: absent → null',
  ]);
});

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'openmoe-recipe-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const tiny = JSON.stringify(RECIPES['tiny']);

  test('a recipe of the user is the export `recipe`, or the only one', async () => {
    for (const text of [`export const mine = ${tiny};`, `export const base = 1; export const recipe = ${tiny};`])
      expect((await chooseRecipe(file(`good-${text.length}.mjs`, text), typed('train.steps=3'))).recipe).toMatchObject({
        name: 'tiny',
        train: { steps: 3 },
      });
  });

  test('may be TypeScript in a folder that belongs to no package', () => {
    file('length.ts', 'export const steps: number = 3;');
    const text = `import { steps } from './length.ts';\nconst base: { readonly train: object } = ${tiny};\nexport const recipe = { ...base, train: { ...base.train, steps } };`;
    const path = file('mine.ts', text);
    const main = resolve('bin/openmoe.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'train', path, '--dry-run'], { cwd: folder, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^steps +3 /m);
  });

  test('what is wrong with one is said', async () => {
    expect(await codeOf(chooseRecipe(join(folder, 'absent.ts'), []))).toBe('E_RECIPE_UNKNOWN 3');
    expect(await codeOf(chooseRecipe(file('empty.mjs', ''), []))).toBe('E_RECIPE_FILE 2');
    expect(await codeOf(chooseRecipe(file('broken.mjs', 'export const recipe = {'), []))).toBe('E_RECIPE_FILE 2');
    expect(await codeOf(chooseRecipe(file('throws.mjs', 'throw new Error("no")'), []))).toBe('E_RECIPE_FILE 2');
    expect(await codeOf(chooseRecipe(file('odd.mjs', 'export const recipe = { name: "x" };'), []))).toBe('E_CONFIG 2');
  });
});

const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test(`no settings make choosing fail in any way but a UserError of exit 2 (seed ${seed})`, async () => {
  const paths = [
    ...leaves(RECIPES['tiny']!).map(([path]) => path),
    'model',
    'train',
    'data',
    'optimizer.beta1',
    '__proto__.x',
    'constructor',
    'model.vocab.x',
  ];
  const values = fc.oneof(
    fc.string(),
    fc.constantFrom('0', '-1', '1.5', '2k', '1e400', 'true', '[]', '[1,2]', '[a', 'adamw', 'dense', '50%', 'NaN', '{}', '='),
  );
  const settings = fc.oneof(
    fc.tuple(fc.constantFrom(...paths), values).map(([path, value]) => `${path}=${value}`),
    fc.constantFrom(...paths).map((path) => `~${path}`),
    fc.string(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(settings, { maxLength: 4 }), async (texts) => {
      expect(['none', 'E_USAGE 2', 'E_CONFIG 2', 'E_CONFIG_KEY 2']).toContain(await codeOf(chooseRecipe('tiny', typed(...texts))));
    }),
    { numRuns: Math.min(Number(process.env['FUZZ'] ?? 1000), 5000), seed },
  );
  expect(({} as { x?: unknown }).x).toBeUndefined();
});

test('an assignment has a key; ~key has no value', () => {
  for (const text of ['a=b', 'a.b=', 'a==b', '~a.b']) expect(isAssignment(text)).toBe(true);
  for (const text of ['tiny', '', '=', '=x', '~', '~a=b', './recipe.ts']) expect(isAssignment(text)).toBe(false);
});
