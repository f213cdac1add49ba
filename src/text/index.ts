/** text: bytes ↔ ids. Must not know models, batches or files; runs in the browser. */
export { breathing } from './breathe.ts';
export { BOS, EOS, type StreamDecoder, type Tokenizer } from './tokenizer.ts';
export { loadTokenizer, type TokenizerJson } from './tokenizer-json.ts';
export { trainBpe, type BpeProgress } from './train-bpe.ts';
