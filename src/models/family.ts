/** Assembles a family from its decoder: parameter list, counts, foreign names. */
import { flatten, sizeOf, unflatten } from '../nn/index.ts';
import { decoder, type DecoderConfig, isSparse, type SparseKind } from './decoder.ts';
import { foreignConfig, foreignName } from './hugging-face.ts';
import type { Model } from './model.ts';

export function family(name: string, config: DecoderConfig, kind: SparseKind): Model {
  const built = decoder(config, kind);
  const list = flatten(built.params).map(([path, { shape, axes }]) => ({ path, shape, axes, foreign: foreignName(path) }));
  const moeLayers = kind === 'moe' ? Array.from({ length: config.layers }, (_, i) => i).filter((i) => isSparse(config, i)) : [];
  return {
    family: name,
    config,
    params: built.params,
    list,
    apply: (weight, input) => built.apply(unflatten(built.params, weight), input),
    moeLayers,
    counts: counts(list, config),
    foreignConfig: () => foreignConfig(config, kind),
  };
}

/** Active: blocks with K experts of each MoE layer, and the head (reference 1.4 counts blocks without routers and norms). */
function counts(list: Model['list'], c: DecoderConfig): Model['counts'] {
  const size = (keep: (p: Model['list'][number]) => boolean): number =>
    list.filter(keep).reduce((n, p) => n + (p.path.includes('.experts.') ? (sizeOf(p.shape) / c.experts) * c.topK : sizeOf(p.shape)), 0);
  const inBlocks = size((p) => p.shape.length > 1 && p.path.startsWith('layers.') && !p.path.endsWith('router.weight'));
  return {
    total: list.reduce((n, p) => n + sizeOf(p.shape), 0),
    active: size((p) => p.shape.length > 1 && p.path !== 'embedding'),
    activeInBlocks: inBlocks,
  };
}
