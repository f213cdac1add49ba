/** checkpoints: foreign formats. Must not know who trains or runs what it loads. */
export { type Checkpoint, openCheckpoint, type TensorFacts } from './checkpoint.ts';
export { modelOf, readConfig } from './config.ts';
export { diskFiles } from './disk.node.ts';
export {
  jsonFile,
  locateWeights,
  modelFiles,
  readModel,
  readWeights,
  WEIGHTS,
  type FolderFile,
  type Located,
  type ReadFile,
} from './folder.ts';
export { readTensors, tensorFile, type NamedTensor } from './tensors.ts';
export { type NameScheme, placeOf, SCHEME_NAMES } from './names.ts';
export type { Files, StoredFile } from './storage.ts';
export { type FoundTensor, type Format, openTensors, type TensorFiles } from './tensor-files.ts';
export { readView } from './read-view.ts';
