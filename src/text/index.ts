/** text: bytes ↔ ids. Must not know models, batches or files; runs in the browser. */
export { breathing } from './breathe.ts';
export type { Tokenizer } from './tokenizer.ts';
export { loadTokenizer } from './tokenizer-json.ts';
export { trainBpe } from './train-bpe.ts';
