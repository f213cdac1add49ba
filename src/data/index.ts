/** data: ids → batches. Must not know models or devices. */
export { baselines, type Baselines } from './baselines.ts';
export type { Batch } from './batch.ts';
export { prepare, type Dataset } from './dataset.ts';
export { describeData } from './describe.ts';
export { folder } from './folder.node.ts';
export { SPLITS } from './split.ts';
export { sampleTexts, type Document, type Source } from './source.ts';
export { starterCorpus } from './starter.node.ts';
