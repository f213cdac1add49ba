/** Text from a language model, one token at a time. */
import { rng } from '../base/index.ts';
import type { Tokenizer } from '../text/index.ts';
import type { LanguageModel, Routed } from './language-model.ts';
import { choose, type Sampling } from './sample.ts';

export interface GenerateOptions extends Sampling {
  readonly maxTokens: number;
  readonly seed: number;
  /** Generation ends before the first of these appears. */
  readonly stop: readonly string[];
}

export interface Generated {
  /** −1 for text that was held back and belongs to the tokens before. */
  readonly id: number;
  /** Whole characters that this token completed; empty while a character is unfinished. */
  readonly text: string;
  /** Experts that read this token once it was chosen; the last token of all is read by none. */
  readonly routed: readonly Routed[];
}

export type Ending = 'eos' | 'stop' | 'length';

/** Experts of the prompt's tokens, begin-of-sequence first. */
export interface Prompted {
  readonly ids: readonly number[];
  readonly routed: readonly Routed[];
}

/**
 * Continues `prompt`, a text (begin-of-sequence is prepended) or ids. Yields each token; returns why it ended.
 * Text that might begin a stop string is held back until that is decided.
 */
export async function* generate(
  lm: LanguageModel,
  tokenizer: Tokenizer,
  prompt: string | readonly number[],
  options: GenerateOptions,
  { onPrompt, signal }: { readonly onPrompt?: (prompted: Prompted) => void; readonly signal?: AbortSignal } = {},
): AsyncGenerator<Generated, Ending> {
  const random = rng(options.seed).at('sample');
  const ids = typeof prompt === 'string' ? promptIds(tokenizer, prompt) : prompt;
  const allowed = (id: number): boolean => id < tokenizer.vocabSize && id !== tokenizer.bos;
  const decoder = tokenizer.streamDecoder();
  const gate = stopGate(options.stop);
  const sequence = lm.begin();
  const seen = [...ids];
  let read = await sequence.extend(ids, signal);
  onPrompt?.({ ids, routed: read.routed });
  for (let n = 0; n < options.maxTokens && sequence.length < lm.context; n++) {
    const id = choose(read, options, { allowed, seen, uniform: random.uniform(n) });
    seen.push(id);
    if (id === tokenizer.eos) return yield* last(gate, decoder.flush(), 'eos');
    const { text, stopped } = gate.push(decoder.push(id));
    if (stopped) {
      if (text) yield { id, text, routed: [] };
      return 'stop';
    }
    read = await sequence.extend([id], signal);
    yield { id, text, routed: read.routed };
  }
  return yield* last(gate, decoder.flush(), 'length');
}

/** A text as a model reads it, begin-of-sequence first. */
export const promptIds = (tokenizer: Tokenizer, text: string): number[] => [tokenizer.bos ?? [], tokenizer.encode(text)].flat();

/** What was held back, once nothing more can come. */
function* last(gate: Gate, flushed: string, why: Ending): Generator<Generated, Ending> {
  const { text, stopped } = gate.push(flushed);
  const rest = text + gate.rest();
  if (rest) yield { id: -1, text: rest, routed: [] };
  return stopped ? 'stop' : why;
}

interface Gate {
  push(text: string): { text: string; stopped: boolean };
  rest(): string;
}

/** Lets text through except what is, or may become, a stop string. */
export function stopGate(stop: readonly string[]): Gate {
  let held = '';
  return {
    push(text) {
      held += text;
      const at = Math.min(...stop.map((s) => held.indexOf(s)).filter((i) => i >= 0), Infinity);
      if (at < Infinity) {
        const before = held.slice(0, at);
        held = '';
        return { text: before, stopped: true };
      }
      const keep = Math.max(0, ...stop.map((s) => overlap(held, s)));
      const out = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { text: out, stopped: false };
    },
    rest() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** Length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
