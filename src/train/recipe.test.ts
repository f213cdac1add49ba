import { describe, expect, test } from 'vitest';
import { RECIPES } from '../../recipes/index.ts';
import { learningRate } from './schedule.ts';
import { checkRecipe, override, permanentSteps, type Recipe } from './index.ts';

const tiny = RECIPES['tiny']!;
const changed = (...assignments: string[]): Recipe => checkRecipe(override(tiny, assignments), 'test');

describe('overrides', () => {
  test('numbers are read as people write them', () => {
    const r = changed(
      'train.steps=2k',
      'data=some/folder',
      'validation.everyShare=50%',
      'checkpoints.probeShares=[0,0.5,1]',
      'model.referenceGroups=true',
    );
    expect([r.train.steps, r.data.source, r.validation.everyShare, r.checkpoints.probeShares, r.model.referenceGroups]).toEqual([
      2000,
      'some/folder',
      0.5,
      [0, 0.5, 1],
      true,
    ]);
  });
  test('an unknown key is refused with the nearest real one, all at once', () => {
    expect(() => changed('modle.experts=16', 'train.stepps=3')).toThrow(
      'error[E_CONFIG_KEY] modle: no such setting · at override modle.experts=16 · did you mean model?\n' +
        'error[E_CONFIG_KEY] train.stepps: no such setting · at override train.stepps=3 · did you mean steps?',
    );
  });
  test('a value out of range names the setting and what was got', () => {
    expect(() => changed('model.experts=-1')).toThrow(/model\.experts: .* got -1/);
    expect(() => changed('model.layers=1000000000')).toThrow(/model\.layers/);
    expect(() => changed('model=0', 'model.topK=1')).toThrow(/E_CONFIG_KEY/);
  });
  test('settings that contradict each other are refused', () => {
    expect(() => changed('model.topK=9')).toThrow('model.topK: 9 choices among 8 experts');
    expect(() => changed('data.length=4096')).toThrow('beyond model.maxPositions');
  });
  test('another kind of optimizer brings its own defaults; ~ gives a setting its default back', () => {
    expect(changed('optimizer.kind=adamw').optimizer).toEqual({ kind: 'adamw', beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 });
    expect(changed('model.capacityFactorTrain=3', '~model.capacityFactorTrain').model.capacityFactorTrain).toBe(1.25);
  });
});

test('every recipe of the house is complete and round-trips through JSON', () => {
  for (const r of Object.values(RECIPES)) expect(checkRecipe(JSON.parse(JSON.stringify(r)), r.name)).toEqual(r);
});

test('the kept checkpoints are those of the probe shares, and the last', () => {
  expect([...permanentSteps({ ...tiny, train: { ...tiny.train, steps: 100 } })]).toEqual([0, 1, 2, 4, 8, 16, 20, 35, 50, 64, 100]);
});

test('the schedule is flat through warm-up, then falls with the root of the step (reference 5.2)', () => {
  const c = { kind: 'rsqrt', base: 1, warmup: 10_000 } as const;
  expect([0, 9999, 40_000, 390_000].map((step) => Number(learningRate(c, step).toPrecision(6)))).toEqual([0.01, 0.01, 0.005, 0.00160128]);
});
