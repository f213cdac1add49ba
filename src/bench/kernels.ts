/** The parts of a step one by one, on the shapes of the peers' kernels. Their names and units of a row: M×N×K, or as said. */
import {
  add,
  attention,
  attentionGrad,
  type CpuExecutor,
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
  softmax,
  sum,
  topk,
} from '../infer/index.ts';
import { f, i, type Kernel, measureKernels } from './kernel.ts';
import { MOE_LAYERS } from './moe-layer.ts';
import type { Likeness, Row } from './row.ts';

const F32 = 'f32';

const product = (M: number, N: number, K: number, layout: 'NN' | 'NT' | 'TN'): Kernel => {
  const [transA, transB] = [layout === 'TN', layout === 'NT'];
  return {
    name: `matmul ${layout}`,
    shape: `${M}×${N}×${K}`,
    dtype: F32,
    specs: { a: transA ? f(K, M) : f(M, K), b: transB ? f(N, K) : f(K, N) },
    build: ({ a, b }) => ({ y: matmul(a!, b!, { transA, transB }) }),
    like: { name: 'matmul', m: M, n: N, k: K, layout },
  };
};

/** Projections, feed-forwards, experts and heads of `quick` and `base`. */
const PRODUCTS = [
  [2048, 768, 256],
  [2048, 1536, 256],
  [2048, 256, 512],
  [2048, 8192, 256],
  [2048, 2304, 768],
  [2048, 6144, 768],
  [2048, 768, 2048],
  [2048, 768, 6144],
  [768, 6144, 2048],
  [2048, 32_128, 768],
] as const;

const UNEVEN = [16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 208, 224, 256];
const total = (loads: readonly number[]): number => loads.reduce((a, b) => a + b, 0);

/** E×rows×K×N: `loads[e]` rows for expert e; the gradient is both products of the backward pass. */
const grouped = (loads: readonly number[], K: number, N: number, backward: boolean): Kernel => {
  const even = new Set(loads).size === 1;
  const rows = even ? String(loads[0]) : `${loads[0]}…${loads.at(-1)}`;
  return {
    name: backward ? 'grouped matmul, both gradients' : 'grouped matmul',
    shape: `${loads.length}×${rows}×${K}×${N}`,
    dtype: F32,
    specs: { x: f(total(loads), K), w: f(loads.length, K, N), sizes: i(loads.length), dy: f(total(loads), N) },
    values: { sizes: loads },
    build({ x, w, sizes, dy }) {
      if (!backward) return { y: groupedMatmul(x!, w!, sizes!) };
      const [dx, dw] = gradient(sum(mul(groupedMatmul(x!, w!, sizes!), dy!)), [x!, w!]);
      return { dx: dx!, dw: dw! };
    },
    like: { name: backward ? 'grouped_backward' : 'grouped', experts: loads.length, loads: even ? loads[0]! : '16..256', n: N, k: K },
  };
};
const same = (E: number, rows: number): number[] => new Array<number>(E).fill(rows);

/** B×heads×S×size, causal. */
const attentionOf = (B: number, S: number, heads: number, size: number): Kernel[] => {
  const rows = f(B, S, heads * size);
  const inputs = { q: rows, k: rows, v: rows, querySegments: i(B, S), keySegments: i(B, S), start: i() };
  const values = { querySegments: [1], keySegments: [1], start: [0] };
  const attrs = { heads, scale: size ** -0.5 };
  const named = (name: string, peer: string) => ({
    name,
    shape: `${B}×${heads}×${S}×${size}`,
    dtype: F32,
    values,
    like: { name: peer, batch: B, heads, seq: S, head_dim: size },
  });
  type Inputs = Parameters<typeof attentionGrad>[0];
  return [
    {
      ...named('attention', 'attention_forward'),
      specs: inputs,
      build: (args) => ({ y: attention(args as unknown as Inputs, attrs) }),
    } as Kernel,
    {
      ...named('attention, backward', 'attention_backward'),
      specs: { ...inputs, y: rows, lse: f(B, heads, S), dy: rows },
      build: (args) => ({ ...attentionGrad(args as unknown as Inputs, attrs) }),
    } as Kernel,
  ];
};

/** T×D×V: from hidden states to their gradient and that of the matrix. */
const crossEntropy = (T: number, D: number, V: number): Kernel => ({
  name: 'projection and cross-entropy, with gradients',
  shape: `${T}×${D}×${V}`,
  dtype: F32,
  specs: { h: f(T, D), w: f(D, V), targets: i(T), scale: f(T) },
  build({ h, w, targets, scale }) {
    const { loss } = linearCrossEntropy({ h: h!, w: w!, targets: targets!, scale: scale! }, { zLoss: 1e-4 });
    const [dh, dw] = gradient(loss, [h!, w!]);
    return { loss, dh: dh!, dw: dw! };
  },
  like: { name: 'cross_entropy', rows: T, hidden: D, vocab: V },
});

/** Shapes of all operands. */
const memoryBound = (name: string, specs: Kernel['specs'], build: Kernel['build'], like?: Likeness): Kernel => ({
  name,
  shape: Object.values(specs)
    .map((s) => s.shape.join('×') || '1')
    .join(' '),
  dtype: F32,
  specs,
  build,
  ...(like && { like }),
});

const KERNELS: readonly Kernel[] = [
  ...PRODUCTS.flatMap(([M, N, K]) => (['NN', 'NT', 'TN'] as const).map((layout) => product(M, N, K, layout))),
  ...(
    [
      [256, 1536],
      [768, 6144],
      [2048, 768],
    ] as const
  ).flatMap(([K, N]) =>
    [same(16, 64), same(16, 256), UNEVEN].flatMap((loads) => [grouped(loads, K, N, false), grouped(loads, K, N, true)]),
  ),
  grouped(same(64, 64), 256, 512, false),
  ...attentionOf(16, 256, 8, 16),
  ...attentionOf(8, 256, 8, 32),
  ...attentionOf(4, 512, 12, 64),
  ...attentionOf(1, 2048, 12, 64),
  ...attentionOf(2, 1024, 8, 128),
  ...attentionOf(1, 4096, 12, 128),
  crossEntropy(2048, 256, 8192),
  crossEntropy(2048, 768, 32_128),
  crossEntropy(512, 768, 256_384),
  ...MOE_LAYERS,
  memoryBound('rms norm', { x: f(8192, 768), scale: f(768) }, ({ x, scale }) => ({ y: rmsNorm(x!, scale!, { eps: 1e-6 }) })),
  memoryBound('gated product', { g: f(4096, 4096), u: f(4096, 2048) }, ({ g, u }) => ({ y: gatedProduct(g!, u!) })),
  memoryBound('rope', { x: f(8192, 768), positions: i(8192) }, ({ x, positions }) => ({
    y: rope(x!, positions!, { heads: 12, theta: 1e4 }),
  })),
  memoryBound('fused elementwise', { a: f(4096, 2048), b: f(4096, 2048) }, ({ a, b }) => ({ y: add(mul(a!, b!), scalar(1)) })),
  memoryBound('embedding', { x: f(32_128, 768), ids: i(8192) }, ({ x, ids }) => ({ y: gather(x!, ids!) })),
  memoryBound('router softmax and top 2', { x: f(8192, 16) }, ({ x }) => ({ ...topk(softmax(x!), 2) })),
];

/** Names with their shapes: what a filter is looked for in. */
export const kernelTitles = (): readonly string[] => KERNELS.map(title);
const title = ({ name, shape }: Kernel): string => `${name} ${shape}`;

/** Measures the kernels whose name and shape contain `filter`. */
export const benchKernels = (executor: CpuExecutor, filter: string): AsyncGenerator<Row> =>
  measureKernels(
    executor,
    KERNELS.filter((k) => title(k).includes(filter)),
  );
