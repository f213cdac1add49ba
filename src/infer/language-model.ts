/** A model ready to read tokens one stretch after another, with its keys and values kept.   n new tokens, M context, V vocabulary. */
import { EXIT, UserError } from '../base/index.ts';
import {
  type Buffer,
  type Buffers,
  type Cache,
  type Executor,
  full,
  type Loaded,
  matmul,
  type Model,
  type Program,
  reshape,
  sliceAxis,
  type Tensor,
  trace,
} from './vocabulary.ts';

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
  /** [V] logits of the token that follows. */
  readonly logits: Float32Array;
  readonly routed: readonly Routed[];
}

/** One sequence being read. Its tokens are a routing group of their own: the prompt at once, then each token alone. */
export interface Sequence {
  readonly length: number;
  /** Reads ids after what was read before. Throws UserError E_CONTEXT_FULL beyond the context. */
  extend(ids: readonly number[], signal?: AbortSignal): Promise<Read>;
  close(): void;
}

export interface LanguageModel {
  readonly model: Model;
  readonly context: number;
  begin(): Sequence;
  close(): void;
}

/** Programs kept for stretches longer than one token: prompts of few different lengths come again. */
const KEPT_PREFILLS = 4;

/** `weights` by path stay the caller's; `context` is the longest sequence, at most the model's positions. */
export function openLanguageModel(model: Model, executor: Executor, weights: Buffers, context = model.config.maxPositions): LanguageModel {
  const size = Math.min(context, model.config.maxPositions);
  const loaded = new Map<number, Promise<Loaded>>();
  const programFor = async (n: number): Promise<Loaded> => {
    const known = loaded.get(n);
    if (known) return known;
    const longer = [...loaded.keys()].filter((k) => k > 1);
    if (longer.length >= KEPT_PREFILLS) {
      (await loaded.get(longer[0]!)!).close();
      loaded.delete(longer[0]!);
    }
    loaded.set(n, executor.load(extendProgram(model, n, size)));
    return loaded.get(n)!;
  };
  return {
    model,
    context: size,
    begin: () => beginSequence({ model, executor, weights, context: size, programFor }),
    close() {
      for (const program of loaded.values()) void program.then((l) => l.close());
      loaded.clear();
    },
  };
}

interface SequenceNeeds {
  readonly model: Model;
  readonly executor: Executor;
  readonly weights: Buffers;
  readonly context: number;
  readonly programFor: (n: number) => Promise<Loaded>;
}

function beginSequence({ model, executor, weights, context, programFor }: SequenceNeeds): Sequence {
  const caches: Record<string, Buffer> = Object.fromEntries(
    cacheNames(model).map((name) => [name, executor.zeros({ dtype: 'f32', shape: cacheShape(model, context) })]),
  );
  const start = executor.zeros({ dtype: 'i32', shape: [] });
  let length = 0;
  return {
    get length() {
      return length;
    },
    async extend(ids, signal) {
      if (length + ids.length > context)
        throw new UserError('E_CONTEXT_FULL', EXIT.doesNotFit, {
          message: `${length} tokens read and ${ids.length} more do not fit a context of ${context}`,
          hint: 'shorten the prompt or ask for fewer new tokens',
        });
      const program = await programFor(ids.length);
      executor.write(start, Int32Array.of(length));
      const tokens = executor.put(Int32Array.from(ids), { dtype: 'i32', shape: [ids.length] });
      const results = await program.run({ ...weights, ...caches, tokens, start }, signal);
      length += ids.length;
      return read(model, executor, results, ids.length);
    },
    close() {},
  };
}

function read(model: Model, executor: Executor, results: Buffers, tokens: number): Read {
  const routed = model.moeLayers.map((layer): Routed => {
    const tap = (name: string) => executor.get(results[`layers.${layer}.router.${name}`]!);
    return { layer, tokens, chosen: tap('chosen') as Int32Array, gates: tap('gates') as Float32Array, kept: tap('kept') as Int32Array };
  });
  return { logits: executor.get(results['logits']!) as Float32Array, routed };
}

const cacheNames = ({ config }: Model): string[] =>
  Array.from({ length: config.layers }, (_, i) => [`cache.${i}.keys`, `cache.${i}.values`]).flat();
const cacheShape = ({ config }: Model, context: number): [number, number] => [context, config.heads * config.headSize];

/** Reads n tokens at `start`: logits of the last, caches grown in place, router taps. */
function extendProgram(model: Model, n: number, context: number): Program {
  const specs = {
    ...Object.fromEntries(model.list.map((p) => [p.path, { shape: p.shape, role: 'parameter' as const }])),
    ...Object.fromEntries(cacheNames(model).map((name) => [name, { shape: cacheShape(model, context), role: 'state' as const }])),
    tokens: { shape: [n], dtype: 'i32' as const },
    start: { shape: [], dtype: 'i32' as const },
  };
  return trace(
    `read ${n} tokens`,
    specs,
    (a) => {
      const layers = Array.from({ length: model.config.layers }, (_, i): Cache => ({
        keys: a[`cache.${i}.keys`]!,
        values: a[`cache.${i}.values`]!,
      }));
      const segments = full([1, n], 1, 'i32');
      const input = { tokens: a['tokens']!, segments, mode: 'eval', padded: false, past: { start: a['start']!, layers } } as const;
      const { hidden, caches } = model.apply((path) => a[path]!, input);
      const last = sliceAxis(hidden, 0, { from: n - 1, size: 1 });
      const grown = Object.fromEntries(
        caches.flatMap(
          (c, i) =>
            [
              [`cache.${i}.keys`, c.keys],
              [`cache.${i}.values`, c.values],
            ] as [string, Tensor][],
        ),
      );
      const updates = Object.fromEntries(Object.keys(grown).map((name) => [name, name]));
      return { results: { logits: reshape(matmul(last, a['head']!), [model.config.vocab]), ...grown }, updates };
    },
    (tap) => /\.router\.(chosen|gates|kept)$/.test(tap),
  );
}
