/** nn: layers as functions over parameter trees. Must not know checkpoints, optimizers or whole models. */
export * from '../ops/index.ts';
export { attentionLayer } from './attention.ts';
export { capacityOf, DIALECTS, groupCount, referencePadding, type CapacityConfig, type Dialect, type Mode } from './capacity.ts';
export { feedforward } from './feedforward.ts';
export { moe, throughExperts } from './moe.ts';
export { norm } from './norm.ts';
export {
  flatten,
  normal,
  scaledTruncated,
  unflatten,
  type Axis,
  type Init,
  type Layer,
  type Param,
  type ParamTree,
  type Values,
} from './param.ts';
export { balanceLoss, routerZ } from './router.ts';
