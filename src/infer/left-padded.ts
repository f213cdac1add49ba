/**
 * Batches as the PyTorch reference reads them under `transformers` (reference 10): padding on the left.   B rows, M context, n places a row,
 * N = B·n, D = heads · head size.
 *
 * Shorter rows begin with ids 0, which are embedded, ask and are routed like any token. Keys of padding are hidden from all, but that of place 0
 * is shown to all. Keys turn by their place in the padded row, and so do the queries of a prompt; the query of a token read alone turns by the
 * number of places before it that are not hidden: in shorter rows it falls behind its key, which reading everything again does not do.
 */
import { forward } from './forward.ts';
import type { Batch, Read, State } from './language-model.ts';
import { products } from './products.ts';
import { type Args, type Grown, inThree, keepRows, type ReadingConfig, results, specsOf, taps } from './reading.ts';
import {
  add,
  attention,
  type Buffers,
  type Executor,
  full,
  gather,
  iota,
  type Loaded,
  mul,
  type Program,
  reshape,
  rope,
  type Tensor,
  trace,
} from './vocabulary.ts';

/**
 * Reads i[B,n] `tokens` at i[] `place` and behind it; queries turn by i[B,n] `turns`; `visible` i[B,M] is 0 where a key is hidden. Logits are
 * those of each row's last place.
 */
export function leftPaddedProgram(c: ReadingConfig, n: number): Program {
  const each = { shape: [c.rows, n], dtype: 'i32' as const };
  const specs = { tokens: each, turns: each, place: { ...each, shape: [] }, visible: { ...each, shape: [c.rows, c.context] } };
  return trace(
    `read ${n} places of ${c.rows} rows padded on the left`,
    { ...specsOf(c), ...specs },
    (a) => {
      const by = products(c.model, c.weights, (path) => a[path]!);
      const grown: Grown = {};
      const attend = (qkv: Tensor, layer: number): Tensor => attendPadded(c, a, qkv, { layer, n, grown });
      const tokens = reshape(a['tokens']!, [c.rows * n]);
      const hidden = forward(c.model, by, (path) => a[path]!, { tokens, rows: c.rows, length: n, alone: false, attend });
      const last = add(mul(iota([c.rows], 0), n), n - 1);
      return results(gather(hidden, last), (x) => by.head(x), grown);
    },
    taps(c),
  );
}

interface Attending {
  readonly layer: number;
  readonly n: number;
  readonly grown: Grown;
}

function attendPadded(c: ReadingConfig, a: Args, qkv: Tensor, { layer, n, grown }: Attending): Tensor {
  const { heads, headSize, ropeTheta: theta } = c.model.config;
  const [width, all] = [heads * headSize, c.rows * n];
  const [q, k, v] = inThree(qkv, width);
  const places = add(reshape(iota([c.rows, n], 1), [all]), a['place']!);
  const keep = (name: string, x: Tensor): Tensor =>
    reshape(keepRows(c, a, grown, { name, x, place: a['place']! }), [c.rows, c.context, width]);
  const y = attention(
    {
      q: reshape(rope(q, reshape(a['turns']!, [all]), { heads, theta }), [c.rows, n, width]),
      k: keep(`cache.${layer}.keys`, rope(k, places, { heads, theta })),
      v: keep(`cache.${layer}.values`, v),
      querySegments: full([c.rows, n], 1, 'i32'),
      keySegments: a['visible']!,
      start: a['place']!,
    },
    { heads, scale: 1 },
  );
  return reshape(y, [all, width]);
}

interface Opened {
  readonly config: ReadingConfig;
  readonly executor: Executor;
  readonly state: State;
  /** The program that reads so many places at once. */
  program(n: number): Promise<Loaded>;
  /** What a program read, n places of each row, of which so many are padding. */
  reader(results: Buffers, n: number, padding: (row: number) => number): Read[];
}

/** Reads and steps of such a batch; rows that rest go on with id 0. */
export function leftPadded({ config: { rows, context }, executor, state, program, reader }: Opened): Pick<Batch, 'read' | 'step'> {
  const integers = (values: Int32Array, ...shape: number[]) => executor.put(values, { dtype: 'i32', shape });
  const visible = new Int32Array(rows * context);
  /** Places read that are not hidden; place 0, though shown, counts as what it is. */
  const counted = new Int32Array(rows);
  const run = async (tokens: Int32Array, turns: Int32Array, signal?: AbortSignal): Promise<Buffers> => {
    const n = tokens.length / rows;
    state.room(0, n);
    const told = { place: integers(state.lengths.slice(0, 1)), visible: integers(visible, rows, context) };
    const loaded = await program(n);
    const inputs = { ...state.resident, ...told, tokens: integers(tokens, rows, n), turns: integers(turns, rows, n) };
    const results = await loaded.run(inputs, signal);
    state.lengths.forEach((length, r) => (state.lengths[r] = length + n));
    return results;
  };
  return {
    async read(prompts, { hides = () => false } = {}, signal) {
      const n = Math.max(...prompts.map((p) => p.length));
      const before = prompts.map((p) => n - p.length);
      state.lengths.fill(0);
      visible.fill(1);
      prompts.forEach((prompt, r) => {
        const row = visible.subarray(r * context, (r + 1) * context);
        row.fill(0, 0, before[r]!);
        prompt.forEach((_, i) => (row[before[r]! + i] = Number(!hides(r, i))));
        counted[r] = row.subarray(0, n).reduce((a, b) => a + b, 0);
        row[0] = 1;
      });
      const places = Int32Array.from({ length: rows * n }, (_, i) => i % n);
      const tokens = places.map((place, i) => prompts[Math.floor(i / n)]![place - before[Math.floor(i / n)]!] ?? 0);
      return reader(await run(tokens, places, signal), n, (r) => before[r]!);
    },
    async step(ids, signal) {
      const results = await run(
        Int32Array.from(ids, (id) => Math.max(0, id)),
        counted.slice(),
        signal,
      );
      counted.forEach((n, r) => (counted[r] = n + 1));
      return reader(results, 1, () => 0);
    },
  };
}
