/** checkpoints: foreign formats. Must not know who trains or runs what it loads. */
export { type Checkpoint, openCheckpoint, type TensorFacts } from './checkpoint.ts';
export { CONFIG, modelOf, readConfig } from './config.ts';
export { diskFiles } from './disk.node.ts';
export { jsonFile, modelFiles, readModel, readWeights, type FolderFile, type Located, type ReadFile } from './folder.ts';
export { readTensors, tensorFile, type NamedTensor } from './tensors.ts';
export { type NameScheme, placeOf, SCHEME_NAMES } from './names.ts';
export type { Files, StoredFile } from './storage.ts';
export { type FoundTensor, type Format, openTensors, type TensorFiles } from './tensor-files.ts';
export { readView } from './read-view.ts';
export { convert, releasedTensors } from './convert.ts';
export { differences, examine, type TensorDifference, type ValueFacts } from './examine.ts';
export { BASE_SIZE, fillByFormula, type Formula, kindOf, makeFormula, readFormula } from './formula.ts';
export { writeFolder } from './out.node.ts';
export { storedAs } from './raw.ts';
export { OUT_TYPES, type OutType, SHARD_BYTES, type Written } from './write-tensors.ts';
export type { NamedSource } from './source.ts';
