/** Tokenizers from their files: Hugging Face's tokenizer.json, SentencePiece's .model. */
import { EXIT, UserError } from '../base/index.ts';
import { CHARACTER_OF } from './alphabet.ts';
import { SPECIALS } from './byte-level.ts';
import { pipelineTokenizer, Schema, type TokenizerFile } from './pipeline/index.ts';
import { damaged } from './sentencepiece-model.ts';
import { loadSentencePiece } from './sentencepiece.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The tokenizer of a file, or of a parsed tokenizer.json. Throws UserError E_TOKENIZER (exit 4) with every problem when it is
 * damaged, or holds parts that this reader does not know.
 */
export function loadTokenizer(file: unknown): Tokenizer {
  if (!(file instanceof Uint8Array)) return fromJson(file);
  return isJson(file) ? fromJson(parse(file)) : loadSentencePiece(file);
}

const isJson = (file: Uint8Array): boolean => file[file.findIndex((b) => b > 0x20)] === 0x7b;

function parse(file: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file));
  } catch (error) {
    throw damaged(`not JSON: ${(error as Error).message}`, 'tokenizer.json');
  }
}

function fromJson(json: unknown): Tokenizer {
  const parsed = Schema.safeParse(json);
  if (parsed.success) {
    const own = isOwn(parsed.data);
    if (own) checkOwn(parsed.data);
    return { ...pipelineTokenizer(parsed.data, { specialsAsText: own }), toJSON: () => json as object };
  }
  throw new UserError(
    'E_TOKENIZER',
    EXIT.damaged,
    parsed.error.issues.slice(0, 8).map(({ path, message }) => ({
      message: `${path.join('.') || 'document'}: ${message}`,
      place: 'tokenizer.json',
      hint: 'a Unigram or BPE tokenizer is expected, of parts that docs/formats.md lists',
    })),
  );
}

/** Written by `openmoe tokenizer train`: texts that are trained on must not hold special tokens. */
function isOwn({ added_tokens: added, pre_tokenizer: words, normalizer, model }: TokenizerFile): boolean {
  const specials = added.length === SPECIALS.length && added.every((t, i) => t.content === SPECIALS[i] && t.id === i && t.special);
  return specials && words?.type === 'ByteLevel' && !words.add_prefix_space && !normalizer && model.type === 'BPE';
}

/** Then every text must come back. */
function checkOwn({ model }: TokenizerFile): void {
  const names = new Set(model.type === 'BPE' ? Object.keys(model.vocab) : []);
  const missing = CHARACTER_OF.filter((c) => !names.has(c)).length;
  if (missing > 0) throw damaged(`model.vocab: ${missing} of the 256 bytes have no piece`, 'tokenizer.json');
}
