/** Printed training steps of three recipes: what a change of a pass or an op does to them is seen in review. Renew with `npx vitest run test/programs -u`. */
import { expect, test } from 'vitest';
import { RECIPES } from '../recipes/index.ts';
import { print } from '../src/exec/index.ts';
import { makeOptimizer } from '../src/train/optimizers/index.ts';
import { stepConfig, stepProgram } from '../src/train/step.ts';
import { modelOf } from '../src/train/index.ts';

test.each(['tiny', 'tiny-dense', 'quickstart'])('the training step of %s', async (name) => {
  const recipe = RECIPES[name]!;
  const printed = print(stepProgram(modelOf(recipe), makeOptimizer(recipe.optimizer), stepConfig(recipe)));
  await expect(printed).toMatchFileSnapshot(`goldens/programs/${name}.txt`);
});
