/** Byte-level BPE as it is trained here: any text ↔ ids, without loss, in the form that the official `tokenizers` reads. */
import { spell } from './alphabet.ts';
import { pipelineTokenizer, Schema } from './pipeline/index.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Special pieces by id: they stand for no bytes, and no text encodes to them. Begin of sequence and padding are one id (reference 6.2). */
export const SPECIALS = ['<pad>', '</s>'] as const;

/** Two neighbouring ids become one; its place in the list is its rank. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly into: number;
}

/** What defines a tokenizer: byte strings by id (specials empty) and merges by rank. */
export interface Vocabulary {
  readonly pieces: readonly Uint8Array[];
  readonly merges: readonly Merge[];
}

/** Trained here: its file is known in full. */
export interface ByteLevelTokenizer extends Tokenizer {
  readonly bos: number;
  readonly eos: number;
  toJSON(): TokenizerJson;
}

export function tokenizer(vocabulary: Vocabulary): ByteLevelTokenizer {
  const json = writeJson(vocabulary);
  return { ...pipelineTokenizer(Schema.parse(json), { specialsAsText: true }), bos: 0, eos: 1, toJSON: () => json };
}

const byteLevel = (prefix: boolean) => ({ type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true }) as const;

export type TokenizerJson = ReturnType<typeof writeJson>;

function writeJson({ pieces, merges }: Vocabulary) {
  const written = pieces.map((bytes, id) => SPECIALS[id] ?? spell(bytes));
  const added = SPECIALS.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel(false),
    post_processor: null,
    decoder: byteLevel(true),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(written.map((piece, id) => [piece, id])),
      merges: merges.map(({ left, right }) => [written[left]!, written[right]!] as const),
    },
  } as const;
}
