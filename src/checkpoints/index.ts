/** checkpoints: foreign formats. Must not know who trains or runs what it loads. */
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
