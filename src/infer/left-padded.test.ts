/** Batches of [T] with prompts of unequal length, beside a plain forward pass written from the reference (2, 10): in double precision, a number at a time. */
import { describe, expect, test } from 'vitest';
import { rng } from '../base/index.ts';
import { openRef } from '../exec/index.ts';
import { type Buffers, continueTogether, GREEDY, openLanguageModel, openmoe, OPENMOE_DEFAULTS, sizeOf } from './index.ts';

const [HIDDEN, HEADS, SIZE, EXPERTS, VOCAB] = [12, 2, 6, 4, 40];
const WIDTH = HEADS * SIZE;
const model = openmoe({
  ...OPENMOE_DEFAULTS,
  vocab: VOCAB,
  hidden: HIDDEN,
  inner: 10,
  layers: 2,
  heads: HEADS,
  headSize: SIZE,
  moeInterval: 2,
  experts: EXPERTS,
  maxPositions: 24,
  capacityFactorEval: 0.7,
  minCapacity: 2,
  dialect: 'torch',
});
const numbers = new Map(
  model.list.map(({ path, shape }) => {
    const random = rng(8).at(path);
    return [
      path,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => (shape.length === 1 ? 1 + 0.1 * random.normal(i) : 0.4 * random.normal(i))),
    ];
  }),
);

type Vector = readonly number[];
const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + b[i]!);

/** x · w, w the `at`-th matrix [in,out] of a parameter. */
function times(x: Vector, path: string, at = 0): Vector {
  const w = numbers.get(path)!;
  const out = model.list.find((p) => p.path === path)!.shape.at(-1)!;
  return Array.from({ length: out }, (_, o) => x.reduce((sum, value, i) => sum + value * w[(at * x.length + i) * out + o]!, 0));
}
function normed(x: Vector, path: string): Vector {
  const scale = numbers.get(`${path}.scale`)!;
  const root = Math.sqrt(dot(x, x) / x.length + model.config.normEps);
  return x.map((value, i) => (value / root) * scale[i]!);
}
function fed(x: Vector, path: string, at = 0): Vector {
  const [gate, up] = [times(x, `${path}.gate`, at), times(x, `${path}.up`, at)];
  return times(
    up.map((u, i) => (u * gate[i]! * gate[up.length + i]!) / (1 + Math.exp(-gate[up.length + i]!))),
    `${path}.down`,
    at,
  );
}
function rotated(x: Vector, position: number): Vector {
  return x.map((value, i) => {
    const [base, d] = [i - (i % SIZE), i % SIZE];
    const half = SIZE / 2;
    const angle = position * model.config.ropeTheta ** (-(d % half) / half);
    const other = x[base + ((d + half) % SIZE)]!;
    return value * Math.cos(angle) + (d < half ? -other : other) * Math.sin(angle);
  });
}

/** What earlier passes left of one layer and row. */
interface Kept {
  readonly keys: Vector[];
  readonly values: Vector[];
}
interface Place {
  readonly id: number;
  readonly turn: number;
}

/** Logits of every row's last place; each row reads `places` behind what `kept` holds by layer and row. */
function pass(rows: readonly (readonly Place[])[], visible: readonly (readonly boolean[])[], kept: readonly (readonly Kept[])[]): Vector[] {
  let h = rows.map((row) => row.map(({ id }): Vector => Array.from(numbers.get('embedding')!.subarray(id * HIDDEN, (id + 1) * HIDDEN))));
  for (let layer = 0; layer < 2; layer++) {
    const at = `layers.${layer}`;
    h = h.map((row, r) => attended(row, rows[r]!, at, visible[r]!, kept[layer]![r]!));
    const inputs = h.flat().map((x) => normed(x, `${at}.mlpNorm`));
    const answers = layer === 1 ? sparse(inputs) : inputs.map((x) => fed(x, `${at}.mlp`));
    const n = h[0]!.length;
    h = h.map((row, r) => row.map((x, i) => plus(x, answers[r * n + i]!)));
    if (layer === 1) h = h.map((row) => row.map((x) => plus(x, fed(normed(x, `${at}.extraNorm`), `${at}.extra`))));
  }
  return h.map((row) => times(normed(row.at(-1)!, 'norm'), 'head'));
}

function attended(
  row: readonly Vector[],
  places: readonly Place[],
  at: string,
  visible: readonly boolean[],
  { keys, values }: Kept,
): Vector[] {
  return row.map((h, i) => {
    const x = normed(h, `${at}.attentionNorm`);
    keys.push(rotated(times(x, `${at}.attention.key`), keys.length));
    values.push(times(x, `${at}.attention.value`));
    const q = rotated(times(x, `${at}.attention.query`), places[i]!.turn);
    const y = Array.from({ length: WIDTH }, () => 0);
    for (let head = 0; head < HEADS; head++) {
      const cut = (v: Vector): Vector => v.slice(head * SIZE, (head + 1) * SIZE);
      const weights = keys.map((k, j) => (j === 0 || visible[j] ? Math.exp(dot(cut(q), cut(k))) : 0));
      const total = weights.reduce((a, b) => a + b, 0);
      weights.forEach((w, j) => cut(values[j]!).forEach((v, d) => (y[head * SIZE + d]! += (w / total) * v)));
    }
    return plus(h, times(y, `${at}.attention.out`));
  });
}

let dropped = 0;
function sparse(inputs: readonly Vector[]): Vector[] {
  const gates = inputs.map((x) => {
    const e = times(x, 'layers.1.moe.router.weight').map(Math.exp);
    const total = e.reduce((a, b) => a + b, 0);
    return e.map((value) => value / total);
  });
  const choices = gates.map((p) => p.map((_, e) => e).sort((a, b) => p[b]! - p[a]! || a - b));
  const slots = Math.floor((2 * 0.7 * inputs.length) / EXPERTS);
  const capacity = Math.max(slots + (slots % 2), 2);
  const taken = Array.from({ length: EXPERTS }, () => 0);
  const y = inputs.map((): Vector => Array.from({ length: HIDDEN }, () => 0));
  for (const rank of [0, 1])
    inputs.forEach((x, t) => {
      const e = choices[t]![rank]!;
      if (taken[e]!++ >= capacity) return void dropped++;
      const answer = fed(x, 'layers.1.moe.experts', e);
      y[t] = plus(
        y[t]!,
        answer.map((value) => value * gates[t]![e]!),
      );
    });
  return y;
}

/** Greedy logits of each step as [T] computes them; rows end after `ends` ids and go on with id 0. */
function plainly(prompts: readonly (readonly number[])[], { steps, cache, hides, ends }: Way): Vector[][] {
  const n = Math.max(...prompts.map((p) => p.length));
  const padded = prompts.map((p) => [...Array.from({ length: n - p.length }, () => 0), ...p]);
  const visible = prompts.map((p) => [...Array.from({ length: n - p.length }, () => false), ...p.map((id) => !(hides && id === 0))]);
  const fresh = (): Kept[][] => [0, 1].map(() => prompts.map(() => ({ keys: [], values: [] })));
  const absolute = (): Place[][] => padded.map((row) => row.map((id, turn) => ({ id, turn })));
  let kept = fresh();
  const steps_: Vector[][] = [pass(absolute(), visible, kept)];
  for (let s = 1; s < steps; s++) {
    steps_.at(-1)!.forEach((logits, r) => {
      padded[r]!.push(s > ends[r]! ? 0 : logits.indexOf(Math.max(...logits)));
      visible[r]!.push(true);
    });
    if (!cache) kept = fresh();
    const one = padded.map((row, r): Place[] => [{ id: row.at(-1)!, turn: visible[r]!.filter(Boolean).length - 1 }]);
    steps_.push(pass(cache ? one : absolute(), visible, kept));
  }
  return steps_;
}
interface Way {
  readonly steps: number;
  readonly cache: boolean;
  readonly hides: boolean;
  /** Number of ids after which each row ends. */
  readonly ends: readonly number[];
}

const executor = openRef('f64');
const weights: Buffers = Object.fromEntries(
  model.list.map((p) => [p.path, executor.put(numbers.get(p.path)!, { dtype: 'f32', shape: p.shape })]),
);

const prompts = [[0, 5, 17, 0, 20], [0, 7], [0], [0, 9, 11, 25, 3, 8, 39]];
const never = prompts.map(() => 99);
describe.each<[string, Way]>([
  ['with keys and values kept', { steps: 6, cache: true, hides: false, ends: never }],
  ['read again at each step', { steps: 4, cache: false, hides: false, ends: never }],
  ['under the automatic mask', { steps: 6, cache: true, hides: true, ends: never }],
  ['under the automatic mask, read again', { steps: 4, cache: false, hides: true, ends: never }],
  ['with rows that end, cache', { steps: 6, cache: true, hides: false, ends: [2, 99, 1, 99] }],
  ['with rows that end, read again', { steps: 5, cache: false, hides: false, ends: [2, 99, 1, 99] }],
])('prompts of unequal length in one routing group of [T], %s', (_, way) => {
  test('have the logits of a plain forward pass', async () => {
    dropped = 0;
    const want = plainly(prompts, way);
    expect(dropped).toBeGreaterThan(0);
    const lm = openLanguageModel(model, executor, weights, { group: 'batch' });
    const written = prompts.map(() => 0);
    const how = { hides: (r: number, i: number) => way.hides && i < prompts[r]!.length && prompts[r]![i] === 0 };
    const ends = (r: number): boolean => ++written[r]! >= way.ends[r]!;
    const options = { ...GREEDY, maxTokens: way.steps, seed: 0, cache: way.cache, how, allowed: () => true, ends };
    let step = 0;
    for await (const { reads } of continueTogether(lm, prompts, options)) {
      for (const [r, read] of reads.entries()) {
        const got = read.logits();
        for (const [id, value] of want[step]![r]!.entries()) expect(got[id]).toBeCloseTo(value, 10);
      }
      step++;
    }
    lm.close();
    expect(step).toBe(way.steps);
  });
});

test("a batch of [T] ends where its longest row fills the context, and says where a row's own tokens begin", async () => {
  const lm = openLanguageModel(model, executor, weights, { group: 'batch', context: 9 });
  const steps: (readonly number[])[] = [];
  const options = { ...GREEDY, maxTokens: 20, seed: 0, cache: true, allowed: () => true, ends: () => false };
  for await (const { ids, reads } of continueTogether(lm, prompts, options)) {
    if (steps.length === 0) expect(reads.map((r) => r.padding)).toEqual([2, 5, 6, 0]);
    expect(reads.every((r) => r.routed[0]!.tokens === (steps.length === 0 ? 7 : 1))).toBe(true);
    steps.push(ids);
  }
  lm.close();
  expect(steps).toHaveLength(2);
  await expect(
    openLanguageModel(model, executor, weights, { group: 'batch', context: 6 }).beginTogether(4).read(prompts),
  ).rejects.toMatchObject({
    code: 'E_CONTEXT_FULL',
  });
});
