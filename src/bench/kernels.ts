/** The parts of a step one by one, on the shapes of the peers' kernels. Their names and units of a row: M×N×K, or as said. */
import {
  attention,
  attentionGrad,
  cast,
  type MachineExecutor,
  gradient,
  groupedMatmul,
  linearCrossEntropy,
  matmul,
  mul,
  sum,
} from '../infer/index.ts';
import { f, i, type Kernel, measureKernels, operandIn, type Products } from './kernel.ts';
import type { Precision } from './measure.ts';
import { MEMORY_KERNELS } from './memory-kernels.ts';
import { moeLayers } from './moe-layer.ts';
import type { Row } from './row.ts';

const product = (dtype: Products, [M, N, K]: readonly [number, number, number], layout: 'NN' | 'NT' | 'TN'): Kernel => {
  const [transA, transB] = [layout === 'TN', layout === 'NT'];
  const x = operandIn(dtype);
  return {
    name: `matmul ${layout}`,
    shape: `${M}×${N}×${K}`,
    dtype,
    specs: { a: transA ? x(K, M) : x(M, K), b: transB ? x(N, K) : x(K, N) },
    build: ({ a, b }) => ({ y: matmul(a!, b!, { transA, transB, dtype }) }),
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

/** E×rows×K×N: `loads[e]` rows for expert e, with weights as training has them. */
const grouped = (dtype: Products, loads: readonly number[], [K, N]: readonly [number, number], backward: boolean): Kernel => {
  const x = operandIn(dtype);
  const even = new Set(loads).size === 1;
  const rows = even ? String(loads[0]) : `${loads[0]}…${loads.at(-1)}`;
  return {
    name: backward ? 'grouped matmul, both gradients' : 'grouped matmul',
    shape: `${loads.length}×${rows}×${K}×${N}`,
    dtype,
    specs: { x: x(total(loads), K), w: f(loads.length, K, N), sizes: i(loads.length), dy: x(total(loads), N) },
    values: { sizes: loads },
    build({ x, w, sizes, dy }) {
      if (!backward) return { y: groupedMatmul(x!, w!, sizes!, dtype) };
      const [dx, dw] = gradient(sum(mul(groupedMatmul(x!, w!, sizes!), cast(dy!, 'f32'))), [x!, w!]);
      return { dx: dx!, dw: dw! };
    },
    like: { name: backward ? 'grouped_backward' : 'grouped', experts: loads.length, loads: even ? loads[0]! : '16..256', n: N, k: K },
  };
};
const same = (E: number, rows: number): number[] => new Array<number>(E).fill(rows);

const squares = (lengths: readonly number[]): number => lengths.reduce((sum, n) => sum + n * n, 0);

/** B×heads×S×size, causal, in f32 (bf16 runs attend in f32 too); `packed`: rows of segments of these lengths, whose pairs alone count. */
const attentionOf = (B: number, S: number, heads: number, size: number, packed?: readonly number[]): Kernel[] => {
  const rows = f(B, S, heads * size);
  const inputs = { q: rows, k: rows, v: rows, querySegments: i(B, S), keySegments: i(B, S), start: i() };
  const segments = (packed ?? [S]).flatMap((length, n) => new Array<number>(length).fill(n + 1));
  const values = { querySegments: segments, keySegments: segments, start: [0] };
  const attrs = { heads, scale: size ** -0.5 };
  const flops = packed && 2 * B * heads * size * squares(packed);
  const named = (name: string, peer: string, times: number) => ({
    name: packed ? `${name}, ${packed.length} segments` : name,
    shape: `${B}×${heads}×${S}×${size}`,
    dtype: 'f32' as const,
    values,
    ...(flops ? { work: { flops: times * flops } } : { like: { name: peer, batch: B, heads, seq: S, head_dim: size } }),
  });
  type Inputs = Parameters<typeof attentionGrad>[0];
  return [
    {
      ...named('attention', 'attention_forward', 1),
      specs: inputs,
      build: (args) => ({ y: attention(args as unknown as Inputs, attrs) }),
    },
    {
      ...named('attention, backward', 'attention_backward', 2),
      specs: { ...inputs, y: rows, lse: f(B, heads, S), dy: rows },
      build: (args) => ({ ...attentionGrad(args as unknown as Inputs, attrs) }),
    },
  ];
};

/** T×D×V: from hidden states to their gradient and that of the matrix. */
const crossEntropy = (dtype: Products, T: number, D: number, V: number): Kernel => ({
  name: 'projection and cross-entropy, with gradients',
  shape: `${T}×${D}×${V}`,
  dtype,
  specs: { h: operandIn(dtype)(T, D), w: f(D, V), targets: i(T), scale: f(T) },
  build({ h, w, targets, scale }) {
    const { loss } = linearCrossEntropy({ h: h!, w: w!, targets: targets!, scale: scale! }, { zLoss: 1e-4 });
    const [dh, dw] = gradient(loss, [h!, w!]);
    return { loss, dh: dh!, dw: dw! };
  },
  like: { name: 'cross_entropy', rows: T, hidden: D, vocab: V },
});

const EXPERTS = [
  [256, 1536],
  [768, 6144],
  [2048, 768],
] as const;

/** Kernels that multiply matrices. */
const multiplying = (dtype: Products): Kernel[] => [
  ...PRODUCTS.flatMap((shape) => (['NN', 'NT', 'TN'] as const).map((layout) => product(dtype, shape, layout))),
  ...EXPERTS.flatMap((shape) =>
    [same(16, 64), same(16, 256), UNEVEN].flatMap((loads) => [grouped(dtype, loads, shape, false), grouped(dtype, loads, shape, true)]),
  ),
  grouped(dtype, same(64, 64), [256, 512], false),
  crossEntropy(dtype, 2048, 256, 8192),
  crossEntropy(dtype, 2048, 768, 32_128),
  crossEntropy(dtype, 512, 768, 256_384),
  ...moeLayers(dtype),
];

const KERNELS: readonly Kernel[] = [
  ...multiplying('f32'),
  ...multiplying('bf16'),
  ...attentionOf(16, 256, 8, 16),
  ...attentionOf(8, 256, 8, 32),
  ...attentionOf(4, 512, 12, 64),
  ...attentionOf(1, 2048, 12, 64),
  ...attentionOf(4, 1024, 12, 64, [256, 256, 256, 256]),
  ...attentionOf(4, 1024, 12, 64, [300, 212, 400, 112]),
  ...attentionOf(2, 1024, 8, 128),
  ...attentionOf(1, 4096, 12, 128),
  ...MEMORY_KERNELS,
];

const title = ({ name, shape }: Kernel): string => `${name} ${shape}`;

/** Names with their shapes: what a filter is looked for in. */
export const kernelTitles = (dtype: Precision): readonly string[] => KERNELS.filter((k) => k.dtype === dtype).map(title);

/** Measures the kernels of a precision whose name and shape contain `filter`. */
export const benchKernels = (executor: MachineExecutor, filter: string, dtype: Precision): AsyncGenerator<Row> =>
  measureKernels(
    executor,
    KERNELS.filter((k) => k.dtype === dtype && title(k).includes(filter)),
  );
