/** text: bytes ↔ ids. Must not know models, batches or files; runs in the browser. */
export { breathing } from './breathe.ts';
export { type Fertility, fertilityMeter, type FertilityMeter, sumOf, wordCount } from './fertility.ts';
export { NORMALIZATIONS } from './normalization-rules.ts';
export { loadSentencePiece } from './sentencepiece.ts';
export { sentencePieceJson } from './sentencepiece-json.ts';
export { writeSentencePieceModel } from './sentencepiece-write.ts';
export type { Encoding, Tokenizer } from './tokenizer.ts';
export { loadUmt5, type Umt5 } from './umt5.ts';
export { loadTokenizer } from './tokenizer-json.ts';
export { trainBpe } from './train-bpe.ts';
export { checkRanges, TRAINER_DEFAULTS, type TrainerOptions } from './training/options.ts';
export { trainPieces } from './training/train-pieces.ts';
