/** A model ready to read tokens one stretch after another, with its keys and values kept.   n new tokens, B rows, V vocabulary. */
import { EXIT, UserError } from '../base/index.ts';
import { isPacked, type Weights } from './packed.ts';
import { cacheNames, cacheShape, type ReadingConfig, stepProgram, stretchProgram } from './reading.ts';
import type { Buffer, Buffers, Executor, Loaded, Model } from './vocabulary.ts';

/** Experts of one MoE layer for the tokens just read, [n·K] in order of preference. */
export interface Routed {
  readonly layer: number;
  /** n. */
  readonly tokens: number;
  readonly chosen: Int32Array;
  readonly gates: Float32Array;
  readonly kept: Int32Array;
}

export interface Read {
  /** The likeliest next token; of equals the lower id. */
  readonly best: number;
  /** [V] of the token that follows: a copy, to be asked for before more is read. */
  logits(): Float32Array;
  /** Empty unless the model was opened with routing. */
  readonly routed: readonly Routed[];
}

/** One sequence being read. Its tokens are a routing group of their own: the prompt at once, then each token alone. */
export interface Sequence {
  readonly length: number;
  /** Reads ids after what was read before. Throws UserError E_CONTEXT_FULL beyond the context. */
  extend(ids: readonly number[], signal?: AbortSignal): Promise<Read>;
}

/** Sequences that are continued together; the bits of each are those of reading it alone. */
export interface Batch {
  readonly sequences: readonly Sequence[];
  /** Reads one id of each sequence. */
  step(ids: ArrayLike<number>, signal?: AbortSignal): Promise<readonly Read[]>;
  /** Mean seconds of each instruction of a step, where the executor measures them. */
  profile(): Promise<ReturnType<NonNullable<Loaded['profile']>>>;
}

export interface LanguageModel {
  readonly model: Model;
  readonly context: number;
  begin(): Sequence;
  beginTogether(rows: number): Batch;
  close(): void;
}

export interface LanguageModelOptions {
  /** The longest sequence, at most the model's positions, which are the default. */
  readonly context?: number;
  /** Whether reads say which experts they used; default true. */
  readonly routing?: boolean;
}

/** Programs kept for stretches longer than one token: prompts of few different lengths come again. */
const KEPT_STRETCHES = 4;

/** `weights` stay the caller's. */
export function openLanguageModel(model: Model, executor: Executor, weights: Weights, options: LanguageModelOptions = {}): LanguageModel {
  const context = Math.min(options.context ?? Infinity, model.config.maxPositions);
  const shelves = new Map<number, Shelf>();
  const beginTogether = (rows: number): Batch => {
    const config = { model, weights, rows, context, routing: options.routing ?? true };
    if (!shelves.has(rows)) shelves.set(rows, openShelf(config, executor));
    return beginBatch(config, executor, shelves.get(rows)!);
  };
  return {
    model,
    context,
    begin: () => beginTogether(1).sequences[0]!,
    beginTogether,
    close: () => shelves.forEach((shelf) => shelf.close()),
  };
}

/** Loaded programs for one number of rows. */
interface Shelf {
  step(): Promise<Loaded>;
  stretch(n: number): Promise<Loaded>;
  close(): void;
}

function openShelf(config: ReadingConfig, executor: Executor): Shelf {
  const loaded = new Map<number, Promise<Loaded>>();
  const keep = (n: number, load: () => Promise<Loaded>): Promise<Loaded> => {
    if (!loaded.has(n)) loaded.set(n, load());
    return loaded.get(n)!;
  };
  return {
    step: () => keep(0, () => executor.load(stepProgram(config))),
    async stretch(n) {
      const others = [...loaded.keys()].filter((k) => k > 0);
      if (!loaded.has(n) && others.length >= KEPT_STRETCHES) {
        (await loaded.get(others[0]!)!).close();
        loaded.delete(others[0]!);
      }
      return keep(n, () => executor.load(stretchProgram(config, n)));
    },
    close: () => loaded.forEach((program) => void program.then((l) => l.close())),
  };
}

function beginBatch(config: ReadingConfig, executor: Executor, shelf: Shelf): Batch {
  const { model, rows, context } = config;
  const integers = (...shape: number[]): Buffer => executor.zeros({ dtype: 'i32', shape });
  const caches = Object.fromEntries(cacheNames(model).map((name) => [name, executor.zeros({ dtype: 'f32', shape: cacheShape(config) })]));
  const resident: Buffers = { ...(isPacked(config.weights) ? config.weights.buffers : config.weights), ...caches };
  const [row, start, tokens, positions] = [integers(), integers(), integers(rows), integers(rows)];
  // The same object every time: an executor need not look at its hundreds of buffers again.
  const inputs: Buffers = { ...resident, tokens, positions };
  const lengths = new Int32Array(rows);
  const room = (at: number, more: number): void => {
    if (lengths[at]! + more > context)
      throw new UserError('E_CONTEXT_FULL', EXIT.doesNotFit, {
        message: `${lengths[at]} tokens read and ${more} more do not fit a context of ${context}`,
        hint: 'shorten the prompt or ask for fewer new tokens',
      });
  };
  const step: Batch['step'] = async (ids, signal) => {
    for (let r = 0; r < rows; r++) room(r, 1);
    const program = await shelf.step();
    executor.write(tokens, Int32Array.from(ids));
    executor.write(positions, lengths);
    const results = await program.run(inputs, signal);
    lengths.forEach((n, r) => (lengths[r] = n + 1));
    return reader(config, executor, results, 1);
  };
  const stretch = async (at: number, ids: readonly number[], signal?: AbortSignal): Promise<Read> => {
    room(at, ids.length);
    const program = await shelf.stretch(ids.length);
    executor.write(row, Int32Array.of(at));
    executor.write(start, lengths.subarray(at, at + 1));
    const read = executor.put(Int32Array.from(ids), { dtype: 'i32', shape: [ids.length] });
    const results = await program.run({ ...resident, tokens: read, row, start }, signal);
    lengths[at]! += ids.length;
    return reader(config, executor, results, ids.length)[0]!;
  };
  const sequence = (at: number): Sequence => ({
    get length() {
      return lengths[at]!;
    },
    extend: async (ids, signal) => (rows === 1 && ids.length === 1 ? (await step(ids, signal))[0]! : stretch(at, ids, signal)),
  });
  return {
    sequences: Array.from({ length: rows }, (_, at) => sequence(at)),
    step,
    profile: async () => (await shelf.step()).profile?.() ?? [],
  };
}

/** What a run read, by row: n tokens of each. */
function reader({ model, routing }: ReadingConfig, executor: Executor, results: Buffers, n: number): Read[] {
  const vocab = model.config.vocab;
  const best = executor.get(results['best']!);
  const tapped = routing
    ? model.moeLayers.map((layer) => {
        const tap = (name: string) => executor.get(results[`layers.${layer}.router.${name}`]!);
        return { layer, chosen: tap('chosen') as Int32Array, gates: tap('gates') as Float32Array, kept: tap('kept') as Int32Array };
      })
    : [];
  return Array.from({ length: best.length }, (_, r) => ({
    best: best[r]!,
    logits: () => (executor.get(results['logits']!) as Float32Array).subarray(r * vocab, (r + 1) * vocab),
    routed: tapped.map(({ layer, chosen, gates, kept }): Routed => {
      const mine = [r * n * model.config.topK, (r + 1) * n * model.config.topK] as const;
      return { layer, tokens: n, chosen: chosen.subarray(...mine), gates: gates.subarray(...mine), kept: kept.subarray(...mine) };
    }),
  }));
}
