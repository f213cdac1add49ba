/** What of tokenizer.json this reader understands: everything that could change an encoding has a place here, or is refused. */
import { z } from 'zod';

const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
export type PatternJson = z.infer<typeof pattern>;

export type NormalizerJson =
  | { readonly type: 'Sequence'; readonly normalizers: readonly NormalizerJson[] }
  | { readonly type: 'NFC' | 'NFD' | 'NFKC' | 'NFKD' }
  | { readonly type: 'Lowercase' | 'StripAccents' | 'Nmt' | 'ByteLevel' }
  | { readonly type: 'Strip'; readonly strip_left: boolean; readonly strip_right: boolean }
  | { readonly type: 'Replace'; readonly pattern: PatternJson; readonly content: string }
  | { readonly type: 'Prepend'; readonly prepend: string }
  | { readonly type: 'Precompiled'; readonly precompiled_charsmap: string };

const normalizer: z.ZodType<NormalizerJson> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('Sequence'), normalizers: z.array(normalizer) }),
    z.object({ type: z.enum(['NFC', 'NFD', 'NFKC', 'NFKD']) }),
    z.object({ type: z.enum(['Lowercase', 'StripAccents', 'Nmt', 'ByteLevel']) }),
    z.object({ type: z.literal('Strip'), strip_left: z.boolean(), strip_right: z.boolean() }),
    z.object({ type: z.literal('Replace'), pattern, content: z.string() }),
    z.object({ type: z.literal('Prepend'), prepend: z.string() }),
    z.object({ type: z.literal('Precompiled'), precompiled_charsmap: z.base64() }),
  ]),
);

const character = z.string().refine((c) => Array.from(c).length === 1, 'expected one character');
const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']);
export type Behavior = z.infer<typeof behavior>;

const metaspace = z
  .object({
    type: z.literal('Metaspace'),
    replacement: character,
    add_prefix_space: z.boolean().nullish(),
    prepend_scheme: z.enum(['always', 'first', 'never']).default('always'),
    split: z.boolean().nullish(),
  })
  .transform(({ add_prefix_space: add, prepend_scheme: scheme, ...rest }) => ({
    ...rest,
    split: rest.split ?? true,
    prepend_scheme: add === false ? ('never' as const) : scheme,
  }));
const byteLevel = z.object({
  type: z.literal('ByteLevel'),
  add_prefix_space: z.boolean(),
  trim_offsets: z.boolean(),
  use_regex: z.boolean().default(true),
});

export type PreTokenizerJson =
  | { readonly type: 'Sequence'; readonly pretokenizers: readonly PreTokenizerJson[] }
  | z.infer<typeof metaspace>
  | z.infer<typeof byteLevel>
  | { readonly type: 'Whitespace' | 'WhitespaceSplit' }
  | { readonly type: 'Split'; readonly pattern: PatternJson; readonly behavior: Behavior; readonly invert: boolean }
  | { readonly type: 'Digits'; readonly individual_digits: boolean }
  | { readonly type: 'Punctuation'; readonly behavior: Behavior }
  | { readonly type: 'CharDelimiterSplit'; readonly delimiter: string };

const preTokenizer: z.ZodType<PreTokenizerJson> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('Sequence'), pretokenizers: z.array(preTokenizer) }),
    metaspace,
    byteLevel,
    z.object({ type: z.enum(['Whitespace', 'WhitespaceSplit']) }),
    z.object({ type: z.literal('Split'), pattern, behavior, invert: z.boolean() }),
    z.object({ type: z.literal('Digits'), individual_digits: z.boolean() }),
    z.object({ type: z.literal('Punctuation'), behavior: behavior.default('Isolated') }),
    z.object({ type: z.literal('CharDelimiterSplit'), delimiter: character }),
  ]),
);

export type DecoderJson =
  | { readonly type: 'Sequence'; readonly decoders: readonly DecoderJson[] }
  | { readonly type: 'ByteLevel' | 'ByteFallback' | 'Fuse' }
  | z.infer<typeof metaspace>
  | { readonly type: 'Replace'; readonly pattern: PatternJson; readonly content: string }
  | { readonly type: 'Strip'; readonly content: string; readonly start: number; readonly stop: number }
  | { readonly type: 'BPEDecoder'; readonly suffix: string };

const count = z.int().min(0);
const decoder: z.ZodType<DecoderJson> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('Sequence'), decoders: z.array(decoder) }),
    z.object({ type: z.enum(['ByteLevel', 'ByteFallback', 'Fuse']) }),
    metaspace,
    z.object({ type: z.literal('Replace'), pattern, content: z.string() }),
    z.object({ type: z.literal('Strip'), content: character, start: count, stop: count }),
    z.object({ type: z.literal('BPEDecoder'), suffix: z.string() }),
  ]),
);

const id = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const named = z.tuple([z.string(), id]);

export type ProcessorJson =
  | { readonly type: 'Sequence'; readonly processors: readonly ProcessorJson[] }
  | z.infer<typeof byteLevel>
  | z.infer<typeof template>
  | z.infer<typeof roberta>
  | z.infer<typeof bert>;

const sequencePiece = z.object({ Sequence: z.object({ id: z.enum(['A', 'B']) }) });
const specialPiece = z.object({ SpecialToken: z.object({ id: z.string() }) });
const template = z.object({
  type: z.literal('TemplateProcessing'),
  single: z.array(z.union([sequencePiece, specialPiece])),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(id) })),
});
const roberta = z.object({
  type: z.literal('RobertaProcessing'),
  sep: named,
  cls: named,
  trim_offsets: z.boolean(),
  add_prefix_space: z.boolean(),
});
const bert = z.object({ type: z.literal('BertProcessing'), sep: named, cls: named });
const processor: z.ZodType<ProcessorJson> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('Sequence'), processors: z.array(processor) }),
    byteLevel,
    template,
    roberta,
    bert,
  ]),
);

const bpe = z.object({
  type: z.literal('BPE'),
  dropout: z.union([z.null(), z.literal(0)]).optional(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
  vocab: z.record(z.string(), id),
  // Older files write a merge as one string.
  merges: z.array(z.union([z.tuple([z.string(), z.string()]), z.string()])),
});
export type BpeJson = z.infer<typeof bpe>;

const unigram = z.object({
  type: z.literal('Unigram'),
  unk_id: count.nullish(),
  byte_fallback: z.boolean().nullish(),
  vocab: z.array(z.tuple([z.string(), z.number()])),
});
export type UnigramJson = z.infer<typeof unigram>;

/** Older files do not say which model they hold. */
function typed(model: unknown): unknown {
  if (typeof model !== 'object' || model === null || 'type' in model) return model;
  return { type: 'merges' in model ? 'BPE' : 'Unigram', ...model };
}

const addedToken = z.object({
  id,
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(true),
  special: z.boolean().default(false),
});
export type AddedTokenJson = z.infer<typeof addedToken>;

/** Truncation and padding concern batches, which are not made here. */
export const Schema = z.object({
  added_tokens: z.array(addedToken).default([]),
  normalizer: normalizer.nullish(),
  pre_tokenizer: preTokenizer.nullish(),
  post_processor: processor.nullish(),
  decoder: decoder.nullish(),
  model: z.preprocess(typed, z.discriminatedUnion('type', [bpe, unigram])),
});
export type TokenizerFile = z.infer<typeof Schema>;
