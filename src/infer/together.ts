/** Ids of several prompts continued together, with or without keys and values kept.   B rows. */
import { rng } from '../base/index.ts';
import type { LanguageModel, Read, ReadTogether } from './language-model.ts';
import { choose, type Sampling } from './sample.ts';

export interface Continuing extends Sampling {
  readonly maxTokens: number;
  readonly seed: number;
  /** Without it every step reads all tokens again, with the capacity that their number has. */
  readonly cache: boolean;
  /** How prompts of one routing group are read. */
  readonly how?: ReadTogether;
  /** Ids that may appear. */
  readonly allowed: (id: number) => boolean;
  /** Whether a row ends with this id. */
  readonly ends: (row: number, id: number) => boolean;
}

/** One step: what was read, and what was chosen from it; −1 for rows that have ended. */
export interface Continued {
  readonly ids: readonly number[];
  /** Of each row; valid until the next step is asked for. */
  readonly reads: readonly Read[];
}

/**
 * Continues prompts until all have ended, `maxTokens` are chosen, or the longest row fills the context. Each row draws from the same random
 * numbers as it would alone. Under [T] in one routing group, rows that have ended go on with id 0, which competes for slots. Throws UserError
 * E_CONTEXT_FULL when a prompt is longer than the context.
 */
export async function* continueTogether(
  lm: LanguageModel,
  prompts: readonly (readonly number[])[],
  options: Continuing,
  signal?: AbortSignal,
): AsyncGenerator<Continued> {
  const random = rng(options.seed).at('sample');
  const batch = lm.beginTogether(prompts.length);
  const rows = prompts.map((prompt) => [...prompt]);
  const open = prompts.map(() => true);
  const goOn = batch.ended === 'go on';
  const full = (row: readonly number[]): boolean => (goOn ? Math.max(...rows.map((r) => r.length)) : row.length) >= lm.context;
  let reads = await batch.read(rows, options.how, signal);
  for (let n = 0; n < options.maxTokens; n++) {
    const ids = rows.map((row, r) => {
      if (!open[r] || row.length >= lm.context) return -1;
      return choose(reads[r]!, options, { allowed: options.allowed, seen: row, uniform: random.uniform(n) });
    });
    yield { ids, reads };
    ids.forEach((id, r) => {
      if (id >= 0) open[r] = !options.ends(r, id);
      if (id >= 0 || goOn) rows[r]!.push(Math.max(0, id));
    });
    rows.forEach((row, r) => (open[r] &&= !full(row)));
    if (n + 1 === options.maxTokens || !open.includes(true)) return;
    const next = ids.map((id, r) => (open[r] || goOn ? id : -1));
    reads = options.cache ? await batch.step(next, signal) : await batch.read(rows, options.how, signal);
  }
}
