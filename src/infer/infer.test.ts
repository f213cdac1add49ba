import { describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { openRef } from '../exec/index.ts';
import { trainBpe } from '../text/index.ts';
import {
  distribution,
  draw,
  generate,
  GREEDY,
  inBatches,
  interleaved,
  openExecutor,
  openEvaluator,
  openLanguageModel,
  openScorer,
  openmoe,
  packModel,
  OPENMOE_DEFAULTS,
  sizeOf,
  type Buffers,
  type Executor,
  type PackedBits,
  type Weights,
  type GenerateOptions,
  type Rows,
} from './index.ts';

const VOCAB = 300;
const model = openmoe({
  ...OPENMOE_DEFAULTS,
  vocab: VOCAB,
  hidden: 16,
  inner: 16,
  layers: 2,
  heads: 2,
  headSize: 8,
  moeInterval: 2,
  experts: 4,
  capacityFactorEval: 100,
  maxPositions: 24,
});
const executor = openRef();
const weights: Buffers = Object.fromEntries(
  model.list.map((p) => {
    const random = rng(2).at(p.path);
    const scale = p.shape.length === 1 ? 0 : 0.4;
    return [
      p.path,
      executor.put(
        Float32Array.from({ length: sizeOf(p.shape) }, (_, i) => (scale ? scale * random.normal(i) : 1)),
        { dtype: 'f32', shape: p.shape },
      ),
    ];
  }),
);
const tokenizer = await trainBpe(['the quick brown fox jumps over the lazy dog '.repeat(20)], { vocabSize: VOCAB });
const ids = [0, 5, 17, 200, 3, 42, 8];

describe('a sequence', () => {
  test('read token by token gives the logits of the whole prompt read at once, when nothing is dropped', async () => {
    const lm = openLanguageModel(model, executor, weights);
    const whole = await lm.begin().extend(ids);
    const sequence = lm.begin();
    let last = await sequence.extend(ids.slice(0, 3));
    for (const id of ids.slice(3)) last = await sequence.extend([id]);
    const worst = whole.logits().reduce((d, x, i) => Math.max(d, Math.abs(x - last.logits()[i]!)), 0);
    expect(worst).toBeLessThan(1e-4);
    expect([...last.routed[0]!.chosen]).toEqual([...whole.routed[0]!.chosen].slice(-2));
    lm.close();
  });

  test('longer than the context is refused before anything is read', async () => {
    const sequence = openLanguageModel(model, executor, weights, { context: 5 }).begin();
    await expect(sequence.extend(ids)).rejects.toThrow('E_CONTEXT_FULL');
    expect(sequence.length).toBe(0);
  });
});

describe('sampling', () => {
  const logits = Float32Array.of(0, 3, 2, 1, 3);
  const all = (): boolean => true;
  test('greedy takes the largest, the lower id of equals, and never a forbidden one', () => {
    expect([...distribution(logits, GREEDY, all)]).toEqual([[1, 1]]);
    expect([...distribution(logits, GREEDY, (id) => id !== 1)]).toEqual([[4, 1]]);
  });
  test('top-k and top-p leave the likeliest, with probabilities that sum to 1', () => {
    expect([...distribution(logits, { temperature: 1, topK: 3, topP: 1 }, all).keys()]).toEqual([1, 4, 2]);
    const nucleus = distribution(logits, { temperature: 1, topK: 0, topP: 0.5 }, all);
    expect([...nucleus.keys()]).toEqual([1, 4]);
    expect([...nucleus.values()].reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  });
  test('a draw falls into the part of [0,1) that its token has', () => {
    const p = new Map([
      [7, 0.25],
      [9, 0.75],
    ]);
    expect([0, 0.24, 0.26, 0.999999].map((u) => draw(p, u))).toEqual([7, 7, 9, 9]);
  });
});

describe('generation', () => {
  const options: GenerateOptions = { ...GREEDY, maxTokens: 12, seed: 1, stop: [] };
  async function written(more: Partial<GenerateOptions> = {}): Promise<{ text: string; ending: string; ids: number[] }> {
    const stream = generate(openLanguageModel(model, executor, weights), tokenizer, 'the quick', { ...options, ...more });
    let text = '';
    const got: number[] = [];
    for (;;) {
      const next = await stream.next();
      if (next.done) return { text, ending: next.value, ids: got };
      text += next.value.text;
      got.push(next.value.id);
    }
  }
  test('the same seed writes the same text, another seed another', async () => {
    const free = { temperature: 1.5 };
    expect(await written(free)).toEqual(await written(free));
    expect((await written({ ...free, seed: 2 })).text).not.toBe((await written(free)).text);
  });
  test('it ends before a stop string, wherever tokens cut it', async () => {
    const { text } = await written({ temperature: 1 });
    const stop = text.slice(3, 6);
    const stopped = await written({ temperature: 1, stop: [stop] });
    expect(stopped.ending).toBe('stop');
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
  });
  test('it ends at the context', async () => {
    expect((await written({ maxTokens: 1000, temperature: 1 })).ending).toMatch(/length|eos/);
  });
});

describe('rows', () => {
  const rows = (domains: number[]): Rows => {
    const of = (f: (row: number) => number): Int32Array => Int32Array.from({ length: domains.length * 2 }, (_, i) => f(Math.floor(i / 2)));
    return {
      tokens: of((r) => r),
      targets: of((r) => r),
      segments: of(() => 1),
      weights: new Float32Array(domains.length * 2).fill(1),
      domains: of((r) => domains[r]!),
    };
  };
  test('domains take turns, and each turn begins with another', () => {
    expect(interleaved(rows([0, 0, 0, 1, 1, 1, 2, 2, 2]), 2)).toEqual([0, 3, 6, 7, 1, 4, 5, 8, 2]);
  });
  test('a last batch is filled with rows that weigh nothing', () => {
    const [, last] = inBatches(rows([0, 0, 0]), { rows: 2, length: 2 });
    expect([...last!.tokens, ...last!.weights]).toEqual([2, 2, 0, 0, 1, 1, 0, 0]);
  });
});

test('evaluation gives each target its cross-entropy, and routing only where it is asked for', async () => {
  const evaluator = await openEvaluator(model, executor, { rows: 1, length: 8, mode: 'eval', padded: false, losses: true, routing: false });
  const some = Int32Array.from([0, ...ids]);
  const { perToken, layers } = await evaluator.run(weights, {
    tokens: some,
    targets: some,
    segments: new Int32Array(8).fill(1),
    weights: new Float32Array(8).fill(1),
  });
  expect(perToken.every((x) => x > 0 && x < 40)).toBe(true);
  expect(layers).toEqual([]);
});

describe('packed weights', () => {
  // Small enough that no router changes its mind for a rounding.
  const mild: Buffers = Object.fromEntries(
    model.list.map((p) => {
      const random = rng(3).at(p.path);
      const values = Float32Array.from({ length: sizeOf(p.shape) }, (_, i) => (p.shape.length === 1 ? 1 : 0.1 * random.normal(i)));
      return [p.path, executor.put(values, { dtype: 'f32', shape: p.shape })];
    }),
  );
  const norm = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  const logits = async (w: Weights, read: readonly number[] = ids) =>
    (await openLanguageModel(model, executor, w).begin().extend(read)).logits();
  const packed = (bits: PackedBits) => packModel(model, executor, (path) => mild[path]!, bits);

  test.each([
    [16, 0.01],
    [8, 0.02],
    [4, 0.25],
  ] as const)('of %i bits give nearly the logits of f32', async (bits, near) => {
    const exact = await logits(mild);
    const close = await logits(await packed(bits));
    const apart = norm(close.map((x, i) => x - exact[i]!)) / norm(exact);
    expect(apart).toBeLessThan(near);
    expect(apart).toBeGreaterThan(0);
  });
});

/** Executors here: the machine's only where one was built. */
function engines(): [string, Executor][] {
  try {
    return [
      ['ref', executor],
      ['machine', openExecutor({ threads: 3 })],
    ];
  } catch {
    return [['ref', executor]];
  }
}
const cases = engines().flatMap(([name, engine]) =>
  ([undefined, 16, 8, 4] as const).map((bits) => [name, bits ?? 32, engine, bits] as const),
);

test.each(cases)('sequences continued together have the bits of each alone: %s, %i bits', async (_, __, engine, bits) => {
  const own: Buffers = Object.fromEntries(model.list.map(({ path }) => [path, engine.put(executor.get(weights[path]!), weights[path]!)]));
  const w = bits ? await packModel(model, engine, (path) => own[path]!, bits) : own;
  const prompts = [ids, [0, 7], [0, 9, 11, 250], [0, 3], [0, 4, 1]];
  const next = [
    [4, 5, 6, 7, 8],
    [8, 8, 1, 2, 250],
  ];
  const lm = openLanguageModel(model, engine, w);
  const batch = lm.beginTogether(prompts.length);
  const together: Float32Array[][] = [[]];
  for (const [i, s] of batch.sequences.entries()) together[0]!.push((await s.extend(prompts[i]!)).logits());
  for (const row of next) together.push((await batch.step(row)).map((r) => r.logits()));
  for (const [i, prompt] of prompts.entries()) {
    const alone = lm.begin();
    expect((await alone.extend(prompt)).logits()).toEqual(together[0]![i]);
    for (const [n, row] of next.entries()) expect((await alone.extend([row[i]!])).logits()).toEqual(together[n + 1]![i]);
  }
  lm.close();
});

test('a scorer gives the cross-entropies of the evaluator, whatever computes them', async () => {
  const some = Int32Array.from({ length: 16 }, (_, i) => (i * 37) % VOCAB);
  const rows = { tokens: some, targets: some.toReversed(), segments: new Int32Array(16).fill(1), weights: new Float32Array(16).fill(1) };
  const evaluator = await openEvaluator(model, executor, { rows: 2, length: 8, mode: 'eval', padded: false, losses: true, routing: false });
  const { perToken: want } = await evaluator.run(weights, rows);
  const got = await (await openScorer(model, executor, weights, { rows: 2, length: 8 })).run(rows);
  got.forEach((x, i) => expect(x).toBeCloseTo(want[i]!, 4));
});
