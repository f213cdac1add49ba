/** Kernels one by one, on the shapes of the peers' `quick` model and on larger ones. */
import { rng } from '../base/index.ts';
import {
  add,
  type ArgumentSpec,
  attention,
  type CpuExecutor,
  flopsOf,
  gatedProduct,
  gather,
  gradient,
  groupedMatmul,
  linearCrossEntropy,
  matmul,
  mul,
  rmsNorm,
  rope,
  scalar,
  sizeOf,
  softmax,
  sum,
  type Program,
  type Tensor,
  topk,
  trace,
} from '../infer/index.ts';
import { measure, row, type Row, type Work } from './measure.ts';

type Args = Readonly<Record<string, Tensor>>;
interface Kernel {
  readonly name: string;
  readonly shape: string;
  readonly specs: Readonly<Record<string, ArgumentSpec>>;
  build(args: Args): Readonly<Record<string, Tensor>>;
  /** Bytes moved at least, where operands and results together are not it. */
  readonly bytes?: number;
}

const f = (...shape: number[]): ArgumentSpec => ({ shape });
const i = (...shape: number[]): ArgumentSpec => ({ shape, dtype: 'i32' });

const product = (M: number, N: number, K: number, transposed: 'NN' | 'NT' | 'TN'): Kernel => {
  const [transA, transB] = [transposed === 'TN', transposed === 'NT'];
  return {
    name: `matmul ${transposed}`,
    shape: `${M}×${N}×${K}`,
    specs: { a: transA ? f(K, M) : f(M, K), b: transB ? f(N, K) : f(K, N) },
    build: ({ a, b }) => ({ y: matmul(a!, b!, { transA, transB }) }),
  };
};

/** `rows` rows for each of E experts; the gradient also makes both products of the backward pass. */
const grouped = (E: number, rows: number, D: number, F: number, backward: boolean): Kernel => ({
  name: backward ? 'grouped matmul, both gradients' : 'grouped matmul',
  shape: `${E}×${rows}×${D}×${F}`,
  specs: { x: f(E * rows, D), w: f(E, D, F), sizes: i(E), dy: f(E * rows, F) },
  build({ x, w, sizes, dy }) {
    if (!backward) return { y: groupedMatmul(x!, w!, sizes!) };
    const [dx, dw] = gradient(sum(mul(groupedMatmul(x!, w!, sizes!), dy!)), [x!, w!]);
    return { dx: dx!, dw: dw! };
  },
});

const attentionKernel = (B: number, S: number, heads: number, size: number, backward: boolean): Kernel => ({
  name: backward ? 'attention, forward and backward' : 'attention',
  shape: `${B}×${heads}×${S}×${size}`,
  specs: {
    q: f(B, S, heads * size),
    k: f(B, S, heads * size),
    v: f(B, S, heads * size),
    segments: i(B, S),
    start: i(),
    dy: f(B, S, heads * size),
  },
  build({ q, k, v, segments, start, dy }) {
    const y = attention({ q: q!, k: k!, v: v!, querySegments: segments!, keySegments: segments!, start: start! }, { heads, scale: 1 });
    if (!backward) return { y };
    const [dq, dk, dv] = gradient(sum(mul(y, dy!)), [q!, k!, v!]);
    return { dq: dq!, dk: dk!, dv: dv! };
  },
});

const crossEntropy = (T: number, D: number, V: number): Kernel => ({
  name: 'projection and cross-entropy, with gradients',
  shape: `${T}×${D}×${V}`,
  specs: { h: f(T, D), w: f(D, V), targets: i(T), scale: f(T) },
  build({ h, w, targets, scale }) {
    const { loss } = linearCrossEntropy({ h: h!, w: w!, targets: targets!, scale: scale! }, { zLoss: 1e-4 });
    const [dh, dw] = gradient(loss, [h!, w!]);
    return { loss, dh: dh!, dw: dw! };
  },
});

const memoryBound = (name: string, specs: Kernel['specs'], build: Kernel['build']): Kernel => ({
  name,
  shape: Object.values(specs)
    .map((s) => s.shape.join('×') || '1')
    .join(' '),
  specs,
  build,
});

const KERNELS: readonly Kernel[] = [
  ...(['NN', 'NT', 'TN'] as const).flatMap((t) => [
    product(2048, 1024, 256, t),
    product(2048, 256, 1024, t),
    product(2048, 768, 768, t),
    product(2048, 3072, 768, t),
  ]),
  grouped(16, 64, 768, 512, false),
  grouped(16, 256, 256, 1024, false),
  grouped(64, 64, 256, 512, false),
  grouped(16, 64, 768, 512, true),
  grouped(16, 256, 256, 1024, true),
  attentionKernel(8, 256, 8, 32, false),
  attentionKernel(8, 256, 8, 32, true),
  attentionKernel(1, 2048, 12, 64, false),
  attentionKernel(1, 2048, 12, 64, true),
  crossEntropy(2048, 256, 8192),
  crossEntropy(1024, 768, 32_128),
  memoryBound('rms norm', { x: f(8192, 768), scale: f(768) }, ({ x, scale }) => ({ y: rmsNorm(x!, scale!, { eps: 1e-6 }) })),
  memoryBound('gated product', { g: f(4096, 4096), u: f(4096, 2048) }, ({ g, u }) => ({ y: gatedProduct(g!, u!) })),
  memoryBound('rope', { x: f(8192, 768), positions: i(8192) }, ({ x, positions }) => ({
    y: rope(x!, positions!, { heads: 12, theta: 1e4 }),
  })),
  memoryBound('fused elementwise', { a: f(4096, 2048), b: f(4096, 2048) }, ({ a, b }) => ({ y: add(mul(a!, b!), scalar(1)) })),
  memoryBound('embedding', { x: f(32_128, 768), ids: i(8192) }, ({ x, ids }) => ({ y: gather(x!, ids!) })),
  memoryBound('router softmax and top 2', { x: f(8192, 16) }, ({ x }) => ({ ...topk(softmax(x!), 2) })),
];

/** Measures the kernels whose name or shape contains `filter`. */
export async function* benchKernels(executor: CpuExecutor, filter: string, seconds = 0.3): AsyncGenerator<Row> {
  for (const kernel of KERNELS.filter((k) => `${k.name} ${k.shape}`.includes(filter))) {
    const program = trace(kernel.name, kernel.specs, (args) => ({ results: kernel.build(args) }));
    const loaded = await executor.load(program);
    const inputs = Object.fromEntries(program.arguments.map((a) => [a.name, executor.put(operand(a, kernel), a)]));
    const measured = await measure(executor, () => loaded.run(inputs), seconds);
    yield row(kernel.name, kernel.shape, executor.facts.threads, measured, workOf(kernel, program));
    loaded.close();
  }
}

function operand({ name, shape, dtype }: Program['arguments'][number], { specs }: Kernel): Float32Array | Int32Array {
  const random = rng(1).at(name);
  const size = sizeOf(shape);
  if (dtype === 'f32') return Float32Array.from({ length: size }, (_, n) => random.uniform(n) - 0.5);
  if (name === 'sizes') return new Int32Array(size).fill(specs['x']!.shape[0]! / size);
  if (name === 'segments') return new Int32Array(size).fill(1);
  return Int32Array.from({ length: size }, (_, n) => (name === 'start' ? 0 : random.below(4000, n)));
}

/** Every operand read once and every result written once. */
function workOf(kernel: Kernel, program: Program): Work {
  const read = Object.values(kernel.specs).reduce((n, s) => n + 4 * sizeOf(s.shape), 0);
  const values = program.code.flatMap((c) => c.out);
  const written = program.results.reduce((n, r) => n + 4 * sizeOf(values.find((v) => v?.id === r.value)?.shape ?? []), 0);
  // Of a table only the rows asked for are read.
  const bytes = kernel.name === 'embedding' ? 2 * written : read + written;
  return { flops: flopsOf(program), bytes, writes: true };
}
