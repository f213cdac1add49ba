/** Hugging Face's tokenizer.json: written so that the official `tokenizers` reads it, read with every assumption checked. */
import { z } from 'zod';
import { EXIT, UserError } from '../base/index.ts';
import { unspell } from './alphabet.ts';
import type { Merge } from './merges.ts';
import { SPECIALS, type Tokenizer, tokenizer, type Vocabulary } from './tokenizer.ts';

const byteLevel = (prefix: boolean) => ({ type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true }) as const;

export type TokenizerJson = ReturnType<typeof writeJson>;

export function writeJson({ pieces, merges }: Vocabulary, spell: (bytes: Uint8Array) => string) {
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

/** What this reader understands; everything that would change an encoding must be absent. */
const Schema = z.object({
  added_tokens: z.array(z.object({ id: z.int(), content: z.string() })),
  normalizer: z.null().optional(),
  pre_tokenizer: z.object({ type: z.literal('ByteLevel'), add_prefix_space: z.literal(false), use_regex: z.literal(true).default(true) }),
  model: z.object({
    type: z.literal('BPE'),
    dropout: z.null().optional(),
    continuing_subword_prefix: z.null().or(z.literal('')).optional(),
    end_of_word_suffix: z.null().or(z.literal('')).optional(),
    ignore_merges: z.literal(false).default(false),
    vocab: z.record(z.string(), z.int().min(0)),
    // Older files write a merge as one string.
    merges: z.array(z.tuple([z.string(), z.string()]).or(z.string())),
  }),
});

/** The tokenizer of a parsed tokenizer.json. Throws UserError E_TOKENIZER with every problem when it is not one that this reader understands. */
export function loadTokenizer(json: unknown): Tokenizer {
  const parsed = Schema.safeParse(json);
  if (!parsed.success) throw damaged(parsed.error.issues.slice(0, 8).map((i) => `${i.path.join('.') || 'document'}: ${i.message}`));
  const { added_tokens: added, model } = parsed.data;
  SPECIALS.forEach((content, id) => {
    if (!added.some((t) => t.id === id && t.content === content)) throw damaged([`added_tokens: expected ${content} with id ${id}`]);
  });
  const extra = added.find((t) => SPECIALS[t.id] !== t.content);
  if (extra) throw damaged([`added_tokens: ${JSON.stringify(extra.content)} is not one of ${SPECIALS.join(', ')}`]);
  return tokenizer({ pieces: readPieces(model.vocab), merges: readMerges(model.merges, model.vocab) });
}

const damaged = (messages: readonly string[]): UserError =>
  new UserError(
    'E_TOKENIZER',
    EXIT.damaged,
    messages.map((message) => ({
      message,
      place: 'tokenizer.json',
      hint: 'a byte-level BPE written by `openmoe tokenizer train` is expected',
    })),
  );

function readPieces(vocab: Readonly<Record<string, number>>): Uint8Array[] {
  const entries = Object.entries(vocab);
  const pieces: Uint8Array[] = [];
  for (const [written, id] of entries) {
    if (id >= entries.length || pieces[id])
      throw damaged([`model.vocab: ids are not 0 … ${entries.length - 1}, each once (${JSON.stringify(written)} has ${id})`]);
    const special = id < SPECIALS.length;
    if (special && written !== SPECIALS[id])
      throw damaged([`model.vocab: id ${id} is ${JSON.stringify(written)}, expected ${SPECIALS[id]}`]);
    const bytes = special ? new Uint8Array(0) : unspell(written);
    if (!bytes || (!special && bytes.length === 0))
      throw damaged([`model.vocab: ${JSON.stringify(written)} is not written in the byte-level alphabet`]);
    pieces[id] = bytes;
  }
  const single = new Set(pieces.filter((p) => p.length === 1).map((p) => p[0]!));
  if (single.size < 256) throw damaged([`model.vocab: ${256 - single.size} of the 256 bytes have no piece`]);
  return pieces;
}

function readMerges(merges: readonly (string | readonly [string, string])[], vocab: Readonly<Record<string, number>>): Merge[] {
  const ids = new Map(Object.entries(vocab));
  return merges.map((merge, rank) => {
    const [a, b] = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left, right, into] = [ids.get(a!), ids.get(b ?? ''), ids.get(`${a}${b}`)];
    if (left === undefined || right === undefined || into === undefined)
      throw damaged([`model.merges[${rank}]: ${JSON.stringify(merge)} names a piece that model.vocab lacks`]);
    return { left, right, into };
  });
}
