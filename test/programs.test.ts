/** Printed training steps of three recipes, pass by pass: what a change of a pass or an op does to them is seen in review. Renew with `npx vitest run test/programs -u`. */
import { expect, test } from 'vitest';
import { RECIPES } from '../recipes/index.ts';
import { encode } from '../src/exec/machine/encode.ts';
import { fuse, lower, plan, print } from '../src/exec/index.ts';
import { makeOptimizer } from '../src/train/optimizers/index.ts';
import { stepConfig, stepProgram } from '../src/train/step.ts';
import { checkRecipe, modelOf, override } from '../src/train/index.ts';

test.each([
  ['moe', 'tiny', []],
  ['moe-recomputed', 'tiny', ['train.recompute=layer']],
  ['dense-adamw', 'tiny-dense', ['optimizer.kind=adamw']],
])('the training step of %s', async (name, base, settings) => {
  const recipe = checkRecipe(override(RECIPES[base]!, settings), name);
  const program = stepProgram(modelOf(recipe), makeOptimizer(recipe.optimizer), stepConfig(recipe));
  const fused = fuse(lower(program, () => true));
  await expect(print(program)).toMatchFileSnapshot(`goldens/programs/${name}.simplified.txt`);
  await expect(print(fused, plan(fused))).toMatchFileSnapshot(`goldens/programs/${name}.planned.txt`);
});

test('the largest preset compiles, and its 30,000 instructions fit the encoding', () => {
  const recipe = RECIPES['openmoe-34b']!;
  const fused = fuse(stepProgram(modelOf(recipe), makeOptimizer(recipe.optimizer), stepConfig(recipe)));
  const planned = plan(fused);
  expect(fused.code.length).toBeGreaterThan(30_000);
  expect(planned.bytes).toBeLessThanOrEqual(1.2 * planned.lowerBound);
  expect(encode(fused, planned).words.every(Number.isFinite)).toBe(true);
});
