/** Prompts as ids, continued together, and why keeping keys and values can change what comes out: capacity. */
import { EXIT, inColumns, UserError } from '../base/index.ts';
import {
  capacityOf,
  continueTogether,
  groupCount,
  type LanguageModel,
  type Model,
  type Read,
  referencePadding,
  type Sampling,
  stopGate,
} from '../infer/index.ts';
import type { Tokenizer } from '../text/index.ts';

export interface Asked extends Sampling {
  readonly maxTokens: number;
  readonly seed: number;
  readonly stop: readonly string[];
  /** Ids that end a row, besides the tokenizer's end of text. */
  readonly stopId: readonly number[];
  /** All prompts are one routing group. */
  readonly together: boolean;
  readonly cache: boolean;
}

export interface Continuation {
  readonly prompt: readonly number[];
  readonly ids: readonly number[];
  /** Empty without a tokenizer. */
  readonly text: string;
  readonly ending: 'eos' | 'stop' | 'length';
}

/** One step of all rows: what was read at once, and what did not fit its expert. */
export interface CapacityStep {
  /** Tokens of each routing group, zeros of the reference among them. */
  readonly group: number;
  readonly capacity: number;
  readonly dropped: number;
  readonly choices: number;
  readonly ids: readonly number[];
}

/**
 * Ids of a prompt that leaves room: begin-of-sequence stays, the oldest ids after it go when asked for. Throws UserErrors E_IDS (usage) for ids outside
 * the vocabulary, E_PROMPT_LONG (exit 5) for a prompt that fills the context.
 */
export function fitted(ids: readonly number[], { model, context, maxTokens, truncate }: Fit): number[] {
  const { vocab } = model.config;
  const outside = ids.find((id) => id >= vocab);
  if (outside !== undefined || ids.length === 0)
    throw new UserError('E_IDS', EXIT.usage, {
      message: outside === undefined ? 'a prompt without ids' : `id ${outside} is not in the vocabulary of ${vocab}`,
      place: '--ids',
    });
  if (ids.length < context) return [...ids];
  if (truncate === undefined)
    throw new UserError('E_PROMPT_LONG', EXIT.doesNotFit, {
      message: `the prompt has ${ids.length} tokens, which leave none of the model's ${context} positions to write at`,
      hint: 'shorten it, or let its beginning go: --truncate left',
    });
  const room = Math.max(1, context - maxTokens);
  const first = ids[0] === 0 && room > 1 ? [0] : [];
  return [...first, ...ids.slice(ids.length - room + first.length)];
}
export interface Fit {
  readonly model: Model;
  readonly context: number;
  readonly maxTokens: number;
  readonly truncate: 'left' | undefined;
}

/** Ids from 256,300 on are rows that pad umT5's table to 256,384 and were never trained (reference 15). */
const TABLE_ROWS = 256_384;
const TRAINED_ROWS = 256_300;

/** Ids that may be written: with a tokenizer its pieces but begin-of-sequence, else all rows that were trained. */
const allowedIds = (model: Model, tokenizer: Tokenizer | undefined): ((id: number) => boolean) => {
  if (tokenizer) return (id) => id < tokenizer.vocabSize && id !== tokenizer.bos;
  const { vocab } = model.config;
  const trained = vocab === TABLE_ROWS ? TRAINED_ROWS : vocab;
  return (id) => id < trained;
};

/** How the reference reads a batch: in JAX the last token of each prompt again, alone (reference 10). */
const howRead = (model: Model, asked: Asked) =>
  asked.together && asked.cache && model.config.dialect === 'jax' ? { lastAgain: true } : {};

/** Continues all prompts; `onStep` hears of what each step read. */
export async function continuePrompts(
  { lm, tokenizer, signal }: { readonly lm: LanguageModel; readonly tokenizer: Tokenizer | undefined; readonly signal: AbortSignal },
  prompts: readonly (readonly number[])[],
  asked: Asked,
  onStep: (step: CapacityStep) => void = () => {},
): Promise<Continuation[]> {
  const rows = prompts.map(() => openRow(tokenizer, asked));
  const options = {
    ...asked,
    how: howRead(lm.model, asked),
    allowed: allowedIds(lm.model, tokenizer),
    ends: (r: number, id: number) => rows[r]!.push(id),
  };
  let first = true;
  let length = Math.max(...prompts.map((p) => p.length));
  for await (const { ids, reads } of continueTogether(lm, prompts, options, signal)) {
    onStep({
      ...sizes(lm.model, { rows: prompts.length, length: asked.cache && !first ? 1 : length, together: asked.together }),
      ...drops(reads),
      ids,
    });
    first = false;
    length++;
  }
  return rows.map((row, r) => ({ prompt: prompts[r]!, ...row.end() }));
}

interface Row {
  /** Takes an id; says whether the row ends with it. */
  push(id: number): boolean;
  end(): Omit<Continuation, 'prompt'>;
}

function openRow(tokenizer: Tokenizer | undefined, asked: Asked): Row {
  const ids: number[] = [];
  const [gate, decoder] = [stopGate(asked.stop), tokenizer?.streamDecoder()];
  let text = '';
  let ending: Continuation['ending'] = 'length';
  const take = (piece: string): void => {
    const passed = gate.push(piece);
    text += passed.text;
    if (passed.stopped) ending = 'stop';
  };
  return {
    push(id) {
      ids.push(id);
      if (id === tokenizer?.eos || asked.stopId.includes(id)) ending = 'eos';
      else if (decoder) take(decoder.push(id));
      return ending !== 'length';
    },
    end() {
      if (decoder && ending !== 'stop') take(decoder.flush());
      return { ids, text: text + gate.rest(), ending };
    },
  };
}

function sizes(model: Model, { rows, length, together }: { readonly rows: number; readonly length: number; readonly together: boolean }) {
  const c = model.config;
  // A token read with those before it kept is alone, unless the rows of a batch are one group.
  if (!together && length === 1) return { group: 1, capacity: capacityOf(1, 'eval', c) };
  const [n, zeros] = [together ? rows : 1, referencePadding(together ? rows : 1, length, c)];
  const tokens = (n + zeros.rows) * (length + zeros.columns);
  const group = tokens / groupCount(tokens, c);
  return { group, capacity: capacityOf(group, 'eval', c) };
}

function drops(reads: readonly Read[]): { readonly dropped: number; readonly choices: number } {
  const kept = reads.flatMap((read) => read.routed.flatMap((r) => Array.from(r.kept)));
  return { dropped: kept.filter((k) => k === 0).length, choices: kept.length };
}

export interface CapacityExplained {
  readonly with_cache: readonly CapacityStep[];
  readonly without_cache: readonly CapacityStep[];
  /** Step from which on each prompt's ids differ; null where they never do. */
  readonly first_difference: readonly (number | null)[];
}

export function explained(withCache: readonly CapacityStep[], without: readonly CapacityStep[]): CapacityExplained {
  const rows = withCache[0]?.ids.length ?? 0;
  const differs = Array.from({ length: rows }, (_, r) => {
    const at = withCache.findIndex((step, n) => step.ids[r] !== without[n]?.ids[r]);
    return at < 0 ? null : at;
  });
  return { with_cache: withCache, without_cache: without, first_difference: differs };
}

/** A table of both ways, step by step, and what it means in words. */
export function explanation({ with_cache: kept, without_cache: again, first_difference: differs }: CapacityExplained): string {
  const cells = (s: CapacityStep | undefined): string[] =>
    s ? [String(s.group), String(s.capacity), `${s.dropped} of ${s.choices}`, s.ids.join(' ')] : ['', '', '', ''];
  const steps = Array.from({ length: Math.max(kept.length, again.length) }, (_, n) => [String(n), ...cells(kept[n]), ...cells(again[n])]);
  const head = ['step', 'group', 'slots', 'dropped', 'cache', 'group', 'slots', 'dropped', 'no cache'];
  const where = differs
    .map((n, r) => `prompt ${r + 1}: ${n === null ? 'the same ids both ways' : `other ids from step ${n} on`}`)
    .join('\n');
  return `${inColumns([head, ...steps], { right: [0, 1, 2, 3, 5, 6, 7] })}
${where}
With the cache, the prompt is routed at once and then each token in a small group where every choice finds a slot; without it, every step routes
all tokens again with the slots that their number gives, and what is dropped depends on all of them. Both are what the references do.
`;
}
