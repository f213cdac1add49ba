import { describe, expect, test } from 'vitest';
import { dense, denseTwin, openmoe, OPENMOE_DEFAULTS } from './index.ts';

const V = 256_384;
const base = { ...OPENMOE_DEFAULTS, vocab: V, hidden: 768, inner: 2048, layers: 12, heads: 12, headSize: 64, moeInterval: 4, experts: 16 };
const large = {
  ...OPENMOE_DEFAULTS,
  vocab: V,
  hidden: 2048,
  inner: 8192,
  layers: 24,
  heads: 24,
  headSize: 128,
  moeInterval: 6,
  experts: 32,
};
const xl = {
  ...OPENMOE_DEFAULTS,
  vocab: V,
  hidden: 3072,
  inner: 12_288,
  layers: 32,
  heads: 24,
  headSize: 128,
  moeInterval: 4,
  experts: 32,
};

describe('parameter counts equal the published checkpoints (reference 1.4)', () => {
  test.each([
    ['Base/16E', openmoe(base), 799_663_104, 141_557_760],
    ['8B/32E', openmoe(large), 11_855_046_656, 2_751_463_424],
    ['34B/32E', openmoe(xl), 46_270_737_408, 8_455_716_864],
    ['dense base', dense(base), 497_634_048, 103_809_024],
  ])('%s', (_, model, total, active) => {
    expect(model.counts.total).toBe(total);
    // The published count leaves out the routers.
    expect(model.counts.activeInBlocks).toBe(active);
  });
});

test('MoE layers stand where the checkpoints have them', () => {
  expect(openmoe(base).moeLayers).toEqual([3, 7, 11]);
  expect(openmoe(large).moeLayers).toEqual([5, 11, 17, 23]);
  expect(openmoe(xl).moeLayers).toEqual([3, 7, 11, 15, 19, 23, 27, 31]);
});

test('a dense layer has 9 tensors and a MoE layer 14, as in the released files (reference 9.1)', () => {
  const names = (layer: number) => openmoe(base).list.filter((p) => p.path.startsWith(`layers.${layer}.`)).length;
  expect([names(0), names(3), openmoe(base).list.length]).toEqual([9, 14, 126]);
});

test('a dense twin multiplies as many weights per token as its OpenMoE, but for the routers', () => {
  const routers = base.hidden * base.experts * 3;
  expect(denseTwin(base).counts.active).toBe(openmoe(base).counts.active - routers);
});
