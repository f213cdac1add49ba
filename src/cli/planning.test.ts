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
  const hint = await refusal(recipe, total / 2);
  const [, batch, accumulate] = /train\.batch=(\d+) train\.accumulate=(\d+)/.exec(hint)!;
  expect(Number(batch) * Number(accumulate)).toBe(256);
  const smaller = { ...recipe, train: { ...recipe.train, batch: Number(batch), accumulate: Number(accumulate) } };
  expect(await refusal(smaller, total / 2)).toBe('fits');
  expect(await refusal(recipe, parameters)).toMatch(/^5 no batch makes it fit/);
});
