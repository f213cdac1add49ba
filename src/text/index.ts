/** text: bytes ↔ ids. Must not know models, batches or files; runs in the browser. */
export { breathing } from './breathe.ts';
export { loadSentencePiece } from './sentencepiece.ts';
export type { Encoding, Tokenizer } from './tokenizer.ts';
export { loadUmt5, type Umt5 } from './umt5.ts';
export { loadTokenizer } from './tokenizer-json.ts';
export { trainBpe } from './train-bpe.ts';
