/** checkpoints: foreign formats. Must not know who trains or runs what it loads. */
export { jsonFile, modelFiles, readModel, readWeights, type FolderFile, type ReadFile } from './folder.ts';
export { readTensors, tensorFile, type NamedTensor } from './tensors.ts';
