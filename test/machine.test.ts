/** The C++ machine, in the addon and in WebAssembly: bits, memory, interruption. */
import { afterAll, describe, expect, test } from 'vitest';
import { rng } from '../src/base/index.ts';
import {
  adafactorFactored,
  add,
  apply,
  assignSlots,
  attention,
  type Buffer as Memory,
  cast,
  combine,
  cpuIsas,
  cumsum,
  dispatch,
  type Executor,
  gatedProduct,
  gather,
  gradient,
  groupedMatmul,
  linearCrossEntropy,
  matmul,
  mul,
  openCpu,
  openRef,
  openWasm,
  opNamed,
  opNames,
  reduceMax,
  reduceSum,
  reshape,
  rmsNorm,
  rope,
  rulesOf,
  sizeOf,
  softmax,
  sum,
  topk,
  trace,
  transpose,
  wasmIsas,
  type Program,
  type Tensor,
} from '../src/exec/index.ts';
import { withIsa } from './support.ts';

/** The machine wherever it was built: native with the best instruction set, in WebAssembly with each. */
const MACHINES = [
  ...nativeIsas().map((isa) => ({ isa, opened: (threads: number) => withIsa(isa, () => openCpu({ threads })) })),
  ...wasmIsas().map((isa) => ({ isa, opened: (threads: number) => withIsa(isa, () => openWasm({ threads })) })),
];
test('each machine is here once', () => expect(new Set(MACHINES.map((m) => m.isa)).size).toBe(MACHINES.length));
if (MACHINES.length < 3) console.log(`skipped: ${3 - MACHINES.length} of 3 machines are not built`);

function nativeIsas(): readonly string[] {
  const isas = cpuIsas();
  const asked = process.env['OPENMOE_ISA'] ?? '';
  return isas.includes(asked) ? [asked] : isas.slice(0, 1);
}

function inputsOf(executor: Executor, program: Program): Record<string, Memory> {
  return Object.fromEntries(
    program.arguments.map((a) => {
      const random = rng(3).at(a.name);
      const buffer = executor.zeros(a);
      const make =
        a.dtype === 'i32' ? (_: number, i: number) => random.below(7, i) : (_: number, i: number) => Math.abs(random.normal(i)) / 4 + 0.1;
      executor.write(buffer, (a.dtype === 'i32' ? new Int32Array(sizeOf(a.shape)) : new Float32Array(sizeOf(a.shape))).map(make));
      return [a.name, buffer];
    }),
  );
}

/** A layer of mixture of experts with attention, its loss, gradients and updates: every parallel kernel, in several tasks each. */
function layer(): Program {
  const [T, D, E, V, heads] = [700, 96, 7, 1100, 3];
  const parameters = { scale: [D], router: [D, E], gate: [E, D, 2 * D], up: [E, D, D], down: [E, D, D], head: [D, V] };
  const specs = {
    ...Object.fromEntries(Object.entries(parameters).map(([k, shape]) => [k, { shape }])),
    table: { shape: [50, D] },
    ids: { shape: [T], dtype: 'i32' as const },
    segments: { shape: [2, T / 2], dtype: 'i32' as const },
    start: { shape: [], dtype: 'i32' as const },
    row: { shape: [1, D] },
    col: { shape: [1, V] },
    lr: { shape: [] },
    decay: { shape: [] },
  };
  return trace('a layer', specs, (args) => {
    const a = args as Record<keyof typeof parameters | 'table' | 'ids' | 'segments' | 'start' | 'row' | 'col' | 'lr' | 'decay', Tensor>;
    const x = rmsNorm(gather(a.table, a.ids), a.scale, { eps: 1e-6 });
    const q = reshape(rope(x, a.ids, { heads, theta: 10_000 }), [2, T / 2, D]);
    const seen = attention(
      { q, k: q, v: reshape(x, [2, T / 2, D]), querySegments: a.segments, keySegments: a.segments, start: a.start },
      { heads, scale: 1 },
    );
    const h = add(x, reshape(seen, [T, D]));
    const { values, indices } = topk(softmax(matmul(h, a.router)), 2);
    const seats = assignSlots(indices, { experts: E, group: T / 2, capacity: 120 });
    const rows = dispatch(h, seats);
    const inner = gatedProduct(groupedMatmul(rows, a.gate, seats.sizes), groupedMatmul(rows, a.up, seats.sizes));
    const y = add(h, combine(groupedMatmul(inner, a.down, seats.sizes), values, seats));
    const { loss, ce } = linearCrossEntropy({ h: y, w: a.head, targets: a.ids, scale: sum(mul(y, 0.01), [1]) }, { zLoss: 1e-4 });
    const names = Object.keys(parameters) as (keyof typeof parameters)[];
    const grads = gradient(
      loss,
      names.map((k) => a[k]),
    );
    const update = { w: a.head, g: grads.at(-1)!, vRow: a.row, vCol: a.col, lr: a.lr, decay: a.decay };
    const head = adafactorFactored(update, { batch: 1, rows: D, cols: V, eps1: 1e-30, eps2: 1e-3, clip: 1 });
    const more = { ce, running: cumsum(y, 0), flipped: transpose(y, [1, 0]), top: reduceMax(y, [0]) };
    return {
      results: { loss, ...more, ...Object.fromEntries(names.map((k, i) => [`d.${k}`, grads[i]!])), head: head.w },
      updates: { head: 'head' },
    };
  });
}

/** Many instructions that take a while: something to interrupt. */
function long(instructions: number): Program {
  return trace('long', { x: { shape: [512, 512] } }, ({ x }) => {
    let y = x!;
    for (let i = 0; i < instructions; i++) y = matmul(y, x!);
    return { results: { y } };
  });
}

const bytesOf = (executor: Executor, buffers: Readonly<Record<string, Memory>>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(buffers).map(([k, b]) => [k, new Uint8Array(executor.get(b).buffer)]));

describe.each(MACHINES)('the machine with $isa', ({ opened }) => {
  const machine = opened(2);
  afterAll(() => machine.close());

  test('computes the same bits with 1, 2, 3 and 7 threads', async () => {
    const program = layer();
    const runs = [];
    for (const threads of [1, 2, 3, 7]) {
      const executor = opened(threads);
      const loaded = await executor.load(program);
      runs.push(bytesOf(executor, await loaded.run(inputsOf(executor, program))));
      loaded.close();
      executor.close();
    }
    expect(new Float32Array(runs[0]!['loss']!.buffer)[0]).toBeGreaterThan(0);
    for (const run of runs.slice(1)) for (const key of Object.keys(run)) expect(Buffer.compare(run[key]!, runs[0]![key]!), key).toBe(0);
  });

  test.each([
    { shape: [130, 65], perm: [1, 0] },
    { shape: [64, 128], perm: [1, 0] },
    { shape: [3, 40, 5, 24], perm: [0, 2, 1, 3] },
    { shape: [9, 8, 100], perm: [1, 2, 0] },
    { shape: [2, 17, 129], perm: [2, 0, 1] },
    { shape: [600, 3, 20], perm: [2, 1, 0] },
  ])('what moves and folds $shape by tiles and strips equals the reference', async ({ shape, perm }) => {
    const program = trace('folds', { x: { shape } }, ({ x }) => ({
      results: {
        turned: transpose(x!, perm),
        sums: reduceSum(x!, [0]),
        tops: reduceMax(x!, [1]),
        running: cumsum(x!, 0, { reverse: true }),
        before: cumsum(x!, 1, { exclusive: true }),
      },
    }));
    const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7919) % 1009) - 500); // whole numbers: sums are exact in any order
    const run = async (executor: Executor): Promise<unknown> => {
      const loaded = await executor.load(program);
      const results = await loaded.run({ x: executor.put(data, { dtype: 'f32', shape }) });
      return Object.fromEntries(Object.entries(results).map(([k, b]) => [k, executor.get(b)]));
    };
    expect(await run(machine)).toEqual(await run(openRef()));
  });

  test.each([
    { transA: false, transB: false },
    { transA: false, transB: true },
    { transA: true, transB: false },
  ])('an element of a product has the same bits in a large product and in a small one, $transA $transB', async ({ transA, transB }) => {
    const [M, N, K, few] = [700, 1100, 530, 37];
    const a = Float32Array.from({ length: M * K }, (_, i) => rng(5).at('a').normal(i));
    const b = Float32Array.from({ length: K * N }, (_, i) => rng(5).at('b').normal(i));
    const first = transA ? Float32Array.from({ length: few * K }, (_, i) => a[Math.floor(i / few) * M + (i % few)]!) : a.slice(0, few * K);
    const product = async (rows: number, left: Float32Array): Promise<Float32Array> => {
      const specs = { a: { shape: transA ? [K, rows] : [rows, K] }, b: { shape: transB ? [N, K] : [K, N] } };
      const loaded = await machine.load(trace('product', specs, (x) => ({ results: { y: matmul(x.a!, x.b!, { transA, transB }) } })));
      const { y } = await loaded.run({
        a: machine.put(left, { dtype: 'f32', ...specs.a }),
        b: machine.put(b, { dtype: 'f32', ...specs.b }),
      });
      const result = machine.get(y!) as Float32Array;
      loaded.close();
      return result;
    };
    const [large, small] = [await product(M, a), await product(few, first)];
    expect(Buffer.compare(Buffer.from(large.slice(0, few * N).buffer), Buffer.from(small.buffer))).toBe(0);
  });

  test('weight gradients too large for the caches are those of the experts one by one', async () => {
    const [E, D, F] = [4, 1024, 1056];
    const sizes = [5, 0, 40, 3];
    const gradients = async (counts: readonly number[], begin: number): Promise<Float32Array> => {
      const rows = counts.reduce((n, c) => n + c, 0);
      const specs = {
        x: { shape: [rows, D] },
        w: { shape: [counts.length, D, F] },
        sizes: { shape: [counts.length], dtype: 'i32' as const },
        dy: { shape: [rows, F] },
      };
      const program = trace('gradients', specs, ({ x, w, sizes: n, dy }) => ({
        results: { dw: gradient(sum(mul(groupedMatmul(x!, w!, n!), dy!)), [w!])[0]! },
      }));
      const random = (name: string, width: number) =>
        Float32Array.from({ length: rows * width }, (_, i) =>
          rng(7)
            .at(name)
            .normal(begin * width + i),
        );
      const loaded = await machine.load(program);
      const { dw } = await loaded.run({
        x: machine.put(random('x', D), { dtype: 'f32', ...specs.x }),
        w: machine.zeros({ dtype: 'f32', ...specs.w }),
        sizes: machine.put(Int32Array.from(counts), specs.sizes),
        dy: machine.put(random('dy', F), { dtype: 'f32', ...specs.dy }),
      });
      const result = machine.get(dw!) as Float32Array;
      loaded.close();
      return result;
    };
    const all = await gradients(sizes, 0);
    for (let e = 0, begin = 0; e < E; begin += sizes[e++]!) {
      const one = await gradients([sizes[e]!], begin);
      expect(Buffer.compare(Buffer.from(all.slice(e * D * F, (e + 1) * D * F).buffer), Buffer.from(one.buffer)), `expert ${e}`).toBe(0);
    }
  });

  const several = opNames().filter((op) => opNamed(op)!.outputs.length > 1);
  test.each(several.flatMap((op) => rulesOf(op).cases.map((c) => [op, c.about, c] as const)))(
    '%s, %s: each output comes out alike when nobody reads the others',
    async (op, _, c) => {
      const of = opNamed(op)!;
      const only = (keep: (output: string) => boolean): Program =>
        trace(op, c.inputs, (args) => {
          const made = apply(
            of,
            of.inputs.map((k) => args[k]!),
            c.attrs ?? {},
          );
          return { results: Object.fromEntries(of.outputs.flatMap((k, i) => (keep(k) ? [[k, made[i]!]] : []))) };
        });
      const run = async (program: Program): Promise<Record<string, Uint8Array>> => {
        const loaded = await machine.load(program);
        const results = bytesOf(machine, await loaded.run(inputsOf(machine, program)));
        loaded.close();
        return results;
      };
      const all = await run(only(() => true));
      for (const k of of.outputs) expect((await run(only((output) => output === k)))[k], k).toEqual(all[k]);
    },
  );

  test('a run leaves the event loop free, and stops between instructions when its signal aborts', async () => {
    const program = long(2000);
    const loaded = await machine.load(program);
    const inputs = inputsOf(machine, program);
    const stop = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => ++ticks === 3 && stop.abort(), 5);
    const started = performance.now();
    await expect(loaded.run(inputs, stop.signal)).rejects.toThrow(/abort/i);
    clearInterval(timer);
    expect(ticks).toBeGreaterThanOrEqual(3);
    const done = loaded.profile().filter((p) => p.seconds > 0).length;
    expect(done, `${performance.now() - started} ms`).toBeLessThan(2000);
    loaded.close();
  });

  test('an abort while another run has the threads stops the one that waits, and only that', async () => {
    const program = long(30);
    const [first, second] = [await machine.load(program), await machine.load(program)];
    const inputs = inputsOf(machine, program);
    const stop = new AbortController();
    const running = first.run(inputs);
    const waiting = second.run(inputs, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow(/abort/i);
    await expect(running).resolves.toHaveProperty('y');
    await expect(second.run(inputs)).resolves.toHaveProperty('y');
    first.close();
    second.close();
  });

  test('buffers stay usable after an abort', async () => {
    const program = trace('sum', { x: { shape: [4] } }, ({ x }) => ({ results: { y: sum(x!) } }));
    const loaded = await machine.load(program);
    const x = machine.put(Float32Array.of(1, 2, 3, 4), { dtype: 'f32', shape: [4] });
    await expect(loaded.run({ x }, AbortSignal.abort())).rejects.toThrow(/abort/i);
    expect([...machine.get((await loaded.run({ x }))['y']!)]).toEqual([10]);
    loaded.close();
  });

  test('memory that cannot be had is an error that says so, for buffers and programs', async () => {
    const shape = [2 ** 20, 2 ** 20];
    expect(() => machine.zeros({ dtype: 'f32', shape })).toThrow(expect.objectContaining({ code: 'E_MEMORY', exit: 5 }));
    const program = trace('outer', { a: { shape: [2 ** 20, 1] }, b: { shape: [1, 2 ** 20] } }, ({ a, b }) => ({
      results: { y: matmul(a!, b!) },
    }));
    await expect(machine.load(program)).rejects.toThrow(expect.objectContaining({ code: 'E_MEMORY', exit: 5 }));
  });

  test('a chain of any length is one loop', async () => {
    const program = trace('chain', { x: { shape: [3000] } }, ({ x }) => {
      let y = x!;
      for (let i = 0; i < 500; i++) y = add(y, x!);
      return { results: { y } };
    });
    const loaded = await machine.load(program);
    const results = await loaded.run({ x: machine.put(new Float32Array(3000).fill(2), { dtype: 'f32', shape: [3000] }) });
    expect(new Set(machine.get(results['y']!))).toEqual(new Set([1002]));
    expect(loaded.profile()).toHaveLength(1);
    loaded.close();
  });

  test.each([
    [5, 1037],
    [3, 4, 40],
    [700, 1000],
  ])('a chain widens the bf16 that it reads and rounds what it writes: [%i,%i]', async (...shape: number[]) => {
    const half = { dtype: 'bf16', shape } as const;
    const row = { dtype: 'bf16', shape: [...shape.slice(0, -1), 1] } as const;
    const program = trace('mixed', { a: half, b: { shape }, row }, ({ a, b, row: r }) => ({
      results: { y: cast(mul(add(cast(a!, 'f32'), b!), cast(r!, 'f32')), 'bf16') },
    }));
    const [ref, numbers] = [openRef(), inputsOf(machine, program)];
    const given = Object.fromEntries(program.arguments.map((v) => [v.name, ref.put(machine.get(numbers[v.name]!), v)]));
    const [mine, theirs] = [await machine.load(program), await ref.load(program)];
    const [got, want] = [await mine.run(numbers), await theirs.run(given)];
    expect(mine.profile().filter((i) => i.op === 'cast')).toHaveLength(0);
    expect(machine.get(got['y']!)).toEqual(ref.get(want['y']!));
    mine.close();
  });

  test('buffers that take turns are each read where they are, and with what was written since', async () => {
    const executor = opened(2);
    const loaded = await executor.load(trace('double', { x: { shape: [3] } }, (a) => ({ results: { y: mul(a['x']!, 2) } })));
    const [one, other] = [1, 5].map((n) => ({ x: executor.put(Float32Array.of(n, n, n), { dtype: 'f32', shape: [3] }) }));
    const doubled = async (inputs: Readonly<Record<string, Memory>>): Promise<number[]> => [
      ...(executor.get((await loaded.run(inputs))['y']!) as Float32Array),
    ];
    expect(await doubled(one!)).toEqual([2, 2, 2]);
    executor.write(one!['x']!, Float32Array.of(3, 3, 3));
    expect(await doubled(one!)).toEqual([6, 6, 6]);
    expect(await doubled(other!)).toEqual([10, 10, 10]);
    expect(await doubled(one!)).toEqual([6, 6, 6]);
    loaded.close();
    executor.close();
  });

  test('a result that outlives its program is an error, not foreign memory', async () => {
    const program = trace('copy', { x: { shape: [4] } }, ({ x }) => ({ results: { y: mul(x!, 2) } }));
    const loaded = await machine.load(program);
    const { y } = await loaded.run({ x: machine.zeros({ dtype: 'f32', shape: [4] }) });
    loaded.close();
    expect(() => machine.get(y!)).toThrow(/after its program was closed/);
    await expect(loaded.run({ x: machine.zeros({ dtype: 'f32', shape: [4] }) })).rejects.toThrow(/closed/);
  });

  test('a program may be closed while it runs: the run ends, then rejects', async () => {
    const program = long(20);
    const loaded = await machine.load(program);
    const running = loaded.run(inputsOf(machine, program));
    await new Promise((resolve) => setTimeout(resolve, 2));
    loaded.close();
    await expect(running).rejects.toThrow(/closed while it ran/);
  });

  test('1,000 programs of 4 MB loaded, run and closed leave no memory behind', async () => {
    const program = trace('big', { x: { shape: [1024, 1024] } }, ({ x }) => ({ results: { y: transpose(x!, [1, 0]) } }));
    const inputs = inputsOf(machine, program);
    const cycle = async (): Promise<void> => {
      const loaded = await machine.load(program);
      await loaded.run(inputs);
      loaded.close();
    };
    for (let i = 0; i < 20; i++) await cycle();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 1000; i++) await cycle();
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(48);
  });
});
