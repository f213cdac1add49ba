/** A model ready to read tokens one stretch after another, with its keys and values kept.   n new tokens, B rows, V vocabulary. */
import { EXIT, UserError } from '../base/index.ts';
import { leftPadded, leftPaddedProgram } from './left-padded.ts';
import { buffersOf, type Weights } from './packed.ts';
import { cacheNames, cacheShape, type ReadingConfig, stepProgram, stretchProgram } from './reading.ts';
import { promptsProgram } from './prompts.ts';
import { type Buffer, type Buffers, type Executor, type Loaded, type Model, type Program, referencePadding } from './vocabulary.ts';

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
  /** Places of `routed` before the row's own first token: padding of [T] batches. */
  readonly padding: number;
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
  /** Reads prompts into empty rows, what was read before being forgotten; of one routing group where the model was opened so. */
  read(prompts: readonly (readonly number[])[], how?: ReadTogether, signal?: AbortSignal): Promise<readonly Read[]>;
  /** What becomes of rows that have ended while others go on: they rest, or go on with id 0, as under [T] in one routing group. */
  readonly ended: 'rest' | 'go on';
  /** Reads one id of each sequence; −1 for a row that rests. */
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

/** How prompts of one routing group are read. */
export interface ReadTogether {
  /** Rows are padded to this length ([J] only): padding takes part in routing as zeros; default: the longest prompt. */
  readonly padTo?: number;
  /** The last token of each prompt is read once more, alone, and that reading counts: as the JAX reference decodes. */
  readonly lastAgain?: boolean;
  /** Whether the key of a row's i-th token is hidden, as the automatic mask of `transformers` hides ids 0 of prompts ([T] only). */
  readonly hides?: (row: number, i: number) => boolean;
}

export interface LanguageModelOptions {
  /** The longest sequence, at most the model's positions, which are the default. */
  readonly context?: number;
  /** Whether reads say which experts they used; default true. */
  readonly routing?: boolean;
  /** Rows of a batch as routing groups of their own (default), or all that is read at once as the model's config groups it. */
  readonly group?: 'row' | 'batch';
}

/** Programs kept for stretches longer than one token: prompts of few different lengths come again. */
const KEPT_STRETCHES = 4;
const [STEP, LEFT_STEP] = ['step', 'left padded step'];

/** `weights` stay the caller's. */
export function openLanguageModel(model: Model, executor: Executor, weights: Weights, options: LanguageModelOptions = {}): LanguageModel {
  const context = Math.min(options.context ?? Infinity, model.config.maxPositions);
  const shelves = new Map<number, Shelf>();
  const beginTogether = (rows: number): Batch => {
    const config = { model, weights, rows, context, routing: options.routing ?? true, group: options.group ?? 'row' } as const;
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
  /** All rows at once, as [J] and as [T] do. */
  prompts(n: number): Promise<Loaded>;
  leftPadded(n: number): Promise<Loaded>;
  close(): void;
}

function openShelf(config: ReadingConfig, executor: Executor): Shelf {
  const loaded = new Map<string, Promise<Loaded>>();
  const keep = (key: string, program: () => Program): Promise<Loaded> => {
    if (!loaded.has(key)) loaded.set(key, executor.load(program()));
    return loaded.get(key)!;
  };
  const keepFew = async (key: string, program: () => Program): Promise<Loaded> => {
    const others = [...loaded.keys()].filter((k) => k !== STEP && k !== LEFT_STEP);
    if (!loaded.has(key) && others.length >= KEPT_STRETCHES) {
      (await loaded.get(others[0]!)!).close();
      loaded.delete(others[0]!);
    }
    return keep(key, program);
  };
  return {
    step: () => keep(STEP, () => stepProgram(config)),
    stretch: (n) => keepFew(`stretch ${n}`, () => stretchProgram(config, n)),
    prompts: (n) => keepFew(`prompts ${n}`, () => promptsProgram(config, n)),
    leftPadded: (n) => (n === 1 ? keep : keepFew)(n === 1 ? LEFT_STEP : `left padded ${n}`, () => leftPaddedProgram(config, n)),
    close: () => loaded.forEach((program) => void program.then((l) => l.close())),
  };
}

/** What a batch holds: weights and caches, what programs are told, and how much of each row was read. */
export interface State {
  readonly resident: Buffers;
  readonly lengths: Int32Array;
  /** Throws UserError E_CONTEXT_FULL when a row has no room for so many more tokens. */
  room(row: number, more: number): void;
}

function openState(config: ReadingConfig, executor: Executor): State {
  const { model, rows, context, weights } = config;
  const caches = Object.fromEntries(cacheNames(model).map((name) => [name, executor.zeros({ dtype: 'f32', shape: cacheShape(config) })]));
  const lengths = new Int32Array(rows);
  return {
    resident: { ...buffersOf(weights), ...caches },
    lengths,
    room(row, more) {
      if (lengths[row]! + more > context)
        throw new UserError('E_CONTEXT_FULL', EXIT.doesNotFit, {
          message: `${lengths[row]} tokens read and ${more} more do not fit a context of ${context}`,
          hint: 'shorten the prompt or ask for fewer new tokens',
        });
    },
  };
}

function beginBatch(config: ReadingConfig, executor: Executor, shelf: Shelf): Batch {
  const { rows, context } = config;
  const integers = (...shape: number[]): Buffer => executor.zeros({ dtype: 'i32', shape });
  const state = openState(config, executor);
  const { resident, lengths, room } = state;
  const [row, start, tokens, positions] = [integers(), integers(), integers(rows), integers(rows)];
  // The same object every time: an executor need not look at its hundreds of buffers again.
  const inputs: Buffers = { ...resident, tokens, positions };
  const step: Batch['step'] = async (ids, signal) => {
    for (let r = 0; r < rows; r++) if (ids[r]! >= 0) room(r, 1);
    const program = await shelf.step();
    const read = Int32Array.from(ids, (id) => Math.max(0, id));
    executor.write(tokens, read);
    const places = lengths.map((n) => Math.min(n, context - 1));
    executor.write(positions, places);
    const results = await program.run(inputs, signal);
    lengths.forEach((n, r) => (lengths[r] = ids[r]! < 0 ? n : n + 1));
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
    // A first token alone is read as a stretch: the bits are those of reading it among other rows.
    extend: async (ids, signal) =>
      rows === 1 && ids.length === 1 && lengths[at]! > 0 ? (await step(ids, signal))[0]! : stretch(at, ids, signal),
  });
  const shared = {
    sequences: Array.from({ length: rows }, (_, at) => sequence(at)),
    profile: async () => (await shelf.step()).profile?.() ?? [],
  };
  if (config.group === 'batch' && config.model.config.dialect === 'torch')
    return {
      ...shared,
      ended: 'go on',
      ...leftPadded({ config, executor, state, program: shelf.leftPadded, reader: (...read) => reader(config, executor, ...read) }),
    };
  return {
    ...shared,
    ended: 'rest',
    read(prompts, how = {}, signal) {
      lengths.fill(0);
      if (config.group === 'batch') return readTogether({ config, executor, shelf, state, step }, prompts, how, signal);
      return readOneByOne(prompts, (at) => stretch(at, prompts[at]!, signal));
    },
    step,
  };
}

/** Logits are copied at once: the next reading overwrites them. */
async function readOneByOne(prompts: readonly unknown[], read: (at: number) => Promise<Read>): Promise<Read[]> {
  const reads: Read[] = [];
  for (const at of prompts.keys()) {
    const made = await read(at);
    const logits = made.logits();
    reads.push({ ...made, logits: () => logits });
  }
  return reads;
}

interface Reading {
  readonly config: ReadingConfig;
  readonly executor: Executor;
  readonly shelf: Shelf;
  readonly state: State;
  readonly step: Batch['step'];
}

async function readTogether(
  { config, executor, shelf, state, step }: Reading,
  prompts: readonly (readonly number[])[],
  { padTo, lastAgain }: ReadTogether,
  signal?: AbortSignal,
): Promise<readonly Read[]> {
  const n = Math.max(padTo ?? 0, ...prompts.map((p) => p.length));
  prompts.forEach((_, r) => state.room(r, n));
  const program = await shelf.prompts(n);
  const results = await program.run({ ...state.resident, ...promptInputs(executor, prompts, n) }, signal);
  prompts.forEach((p, r) => (state.lengths[r] = lastAgain ? p.length - 1 : p.length));
  if (!lastAgain) return reader(config, executor, results, n);
  const last = prompts.map((p) => p.at(-1)!);
  return step(last, signal);
}

/** Prompts [B,n] with zeros behind them, where they end, and the index of each one's last token. */
function promptInputs(executor: Executor, prompts: readonly (readonly number[])[], n: number): Buffers {
  const [rows, each] = [prompts.length, { dtype: 'i32', shape: [prompts.length, n] } as const];
  const filled = (at: (prompt: readonly number[], i: number) => number): Buffer =>
    executor.put(
      Int32Array.from({ length: rows * n }, (_, i) => at(prompts[Math.floor(i / n)]!, i % n)),
      each,
    );
  const last = Int32Array.from(prompts, (p, r) => r * n + p.length - 1);
  return {
    tokens: filled((p, i) => p[i] ?? 0),
    segments: filled((p, i) => Number(i < p.length)),
    last: executor.put(last, { dtype: 'i32', shape: [rows] }),
  };
}

/** What a run read, by row: n tokens of each, behind which the reference's zeros may stand. */
function reader(
  { model, routing, group, rows }: ReadingConfig,
  executor: Executor,
  results: Buffers,
  n: number,
  padding: (row: number) => number = () => 0,
): Read[] {
  const { vocab, topK } = model.config;
  const pitch = n + (rows > 1 && group === 'batch' ? referencePadding(rows, n, model.config).columns : 0);
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
    padding: padding(r),
    routed: tapped.map(({ layer, chosen, gates, kept }): Routed => {
      const mine = [r * pitch * topK, (r * pitch + n) * topK] as const;
      return { layer, tokens: n, chosen: chosen.subarray(...mine), gates: gates.subarray(...mine), kept: kept.subarray(...mine) };
    }),
  }));
}
