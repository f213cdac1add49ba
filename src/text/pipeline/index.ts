/** Parts of a tokenizer.json, put together. */
export { Schema, type TokenizerFile } from './schema.ts';
export { pipelineTokenizer } from './tokenizer.ts';
