/** What a run would take, before it is run. */
import { expect, test } from 'vitest';
import { RECIPES } from '../../recipes/index.ts';
import { UserError } from '../base/index.ts';
import { openRef } from '../exec/index.ts';
import { modelOf, openSession, type Recipe } from '../train/index.ts';
import { planMemory, refuseTooLarge } from './planning.ts';

const tiny = RECIPES['tiny']!;

test('parameters and optimizer state are planned to the byte that a session holds', async () => {
  const session = await openSession(modelOf(tiny), tiny, openRef());
  const { parameters, optimizer, step, validation, total } = await planMemory(tiny);
  expect({ parameters, optimizer }).toEqual({ parameters: session.memory.parameters, optimizer: session.memory.optimizer });
  expect(parameters).toBe(4 * modelOf(tiny).counts.total);
  expect(total).toBe(parameters + optimizer + step + validation);
  session.close();
});

const refusal = async (recipe: Recipe, limit: number): Promise<string> => {
  const memory = await planMemory(recipe);
  return refuseTooLarge(recipe, memory, limit).then(
    () => 'fits',
    (e: unknown) => (e instanceof UserError ? `${e.exit} ${e.problems[0]!.hint}` : String(e)),
  );
};

test('what fits is let through; what does not is refused with exit 5 and the settings that make it fit', async () => {
  const recipe = { ...tiny, train: { ...tiny.train, batch: 256 } };
  const { total, parameters } = await planMemory(recipe);
  expect(await refusal(recipe, total)).toBe('fits');
  const recomputed = { ...recipe, train: { ...recipe.train, recompute: 'layer' as const } };
  const { total: less } = await planMemory(recomputed);
  expect(await refusal(recipe, less)).toBe('5 this fits: train.recompute=layer');
  expect(await refusal(recomputed, less)).toBe('fits');
  const hint = await refusal(recipe, less / 2);
  const [, batch, accumulate] = /train\.recompute=layer train\.batch=(\d+) train\.accumulate=(\d+)/.exec(hint)!;
  expect(Number(batch) * Number(accumulate)).toBe(256);
  const smaller = { ...recomputed, train: { ...recomputed.train, batch: Number(batch), accumulate: Number(accumulate) } };
  expect(await refusal(smaller, less / 2)).toBe('fits');
  expect(await refusal(recipe, parameters)).toMatch(/^5 no batch makes it fit/);
});
