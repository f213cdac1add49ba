/** Kernels that move bytes rather than multiply: norms, activations, routing, tables, updates. Some as small as in a step, some beyond the caches. */
import {
  adafactorFactored,
  adamw,
  add,
  type ArgumentSpec,
  assignSlots,
  combine,
  dispatch,
  gatedProduct,
  gather,
  gradient,
  mul,
  rmsNorm,
  rope,
  scalar,
  sizeOf,
  softmax,
  sum,
  type Tensor,
  topk,
} from '../infer/index.ts';
import { f, i, type Kernel } from './kernel.ts';
import type { Likeness } from './row.ts';

type Named = Pick<Kernel, 'specs' | 'build'> & Partial<Kernel>;

/** Its shape is that of all operands of an axis or more. */
const moving = (name: string, kernel: Named): Kernel => ({
  name,
  shape: Object.values(kernel.specs)
    .filter((s) => s.shape.length > 0)
    .map((s) => s.shape.join('×'))
    .join(' '),
  dtype: 'f32',
  ...kernel,
});

/** Result → operand that it overwrites, of an op and of its gradient: as in a training step, where nobody else reads it. */
interface InPlace {
  readonly forward?: Readonly<Record<string, string>>;
  readonly backward?: Readonly<Record<string, string>>;
}

type Build = (args: Readonly<Record<string, Tensor>>) => Tensor;

/** An op, and the gradients of its float operands from one of its result; `like` names the peers' lines. */
function pair(
  name: string,
  specs: Readonly<Record<string, ArgumentSpec>>,
  y: ArgumentSpec,
  build: Build,
  { like = [], inPlace = {} }: { like?: readonly Likeness[]; inPlace?: InPlace } = {},
): readonly Kernel[] {
  const floats = Object.keys(specs).filter((k) => specs[k]!.dtype !== 'i32');
  const forward = moving(name, {
    specs,
    build: (args) => ({ y: build(args) }),
    ...(like[0] && { like: like[0] }),
    ...(inPlace.forward && { updates: inPlace.forward }),
  });
  const backward = moving(`${name}, backward`, {
    specs: { ...specs, dy: y },
    build(args) {
      const along = sum(mul(build(args), args['dy']!));
      const grads = gradient(
        along,
        floats.map((k) => args[k]!),
      );
      return Object.fromEntries(floats.map((k, n) => [`d ${k}`, grads[n]!]));
    },
    ...(like[1] && { like: like[1] }),
    ...(inPlace.backward && { updates: inPlace.backward }),
  });
  return [forward, backward];
}

const norm = (rows: number, hidden: number): readonly Kernel[] =>
  pair('rms norm', { x: f(rows, hidden), scale: f(hidden) }, f(rows, hidden), ({ x, scale }) => rmsNorm(x!, scale!, { eps: 1e-6 }), {
    like: [
      { name: 'rms_norm_forward', rows, hidden },
      { name: 'rms_norm_backward', rows, hidden },
    ],
    inPlace: { backward: { 'd x': 'dy' } },
  });

const gate = (rows: number, ff: number): readonly Kernel[] =>
  pair('gated product', { g: f(rows, 2 * ff), u: f(rows, ff) }, f(rows, ff), ({ g, u }) => gatedProduct(g!, u!), {
    like: [
      { name: 'gate_forward', rows, ff },
      { name: 'gate_backward', rows, ff },
    ],
    inPlace: { backward: { 'd g': 'g', 'd u': 'u' } },
  });

/** Positions of rows of 256. */
const rotation = (rows: number, heads: number, size: number): readonly Kernel[] => {
  const x = f(rows, heads * size);
  const turn: Build = (args) => rope(args['x']!, args['positions']!, { heads, theta: 1e4 });
  const positions = Array.from({ length: rows }, (_, n) => n % 256);
  return pair('rope', { x, positions: i(rows) }, x, turn, { inPlace: { forward: { y: 'x' }, backward: { 'd x': 'dy' } } }).map((k) => ({
    ...k,
    values: { positions },
  }));
};

/** The least that a kernel out of place can do: what it reaches is what the others are bound by. */
const copy = (rows: number, hidden: number): Kernel =>
  moving('copy, plus one', { specs: { x: f(rows, hidden) }, build: ({ x }) => ({ y: add(x!, scalar(1)) }) });

/** Of a table the rows asked for; its gradient is a whole table. */
const table = (vocab: number, rows: number): readonly Kernel[] =>
  pair('embedding', { x: f(vocab, 768), ids: i(rows) }, f(rows, 768), ({ x, ids }) => gather(x!, ids!), {
    like: [
      { name: 'embedding_forward', rows, vocab },
      { name: 'embedding_backward', rows, vocab, hidden: 768 },
    ],
  }).map((k, n) => (n === 0 ? k : { ...k, work: { read: 4 * rows * 769, written: 4 * vocab * 768 } }));

const choice = (tokens: number, experts: number): readonly Kernel[] => [
  moving('router softmax and top 2', {
    specs: { x: f(tokens, experts) },
    build: ({ x }) => ({ ...topk(softmax(x!), 2) }),
    like: { name: 'softmax_top2', rows: tokens, experts },
  }),
  moving(`seats among ${experts} experts`, {
    specs: { chosen: i(tokens, 2) },
    // As even as routers are: every expert is somebody's first and somebody's second choice.
    values: { chosen: Array.from({ length: 2 * tokens }, (_, n) => (n * 7 + (n >> 5)) % experts) },
    build: ({ chosen }) => ({ ...assignSlots(chosen!, { experts, group: tokens, capacity: 2 * tokens }) }),
    like: { name: 'slots_by_cumsum', rows: tokens, experts },
  }),
];

/** Two choices a token, none dropped: expert n takes every token n mod E and its neighbour. */
function seating(tokens: number, hidden: number): readonly Kernel[] {
  const seats = 2 * tokens;
  const specs = { assignments: i(seats), where: i(tokens, 2) };
  const assignments = Array.from({ length: seats }, (_, n) => (n * 61) % seats); // 61 is prime to every power of two
  const where = new Array<number>(seats);
  assignments.forEach((entry, seat) => (where[entry] = seat));
  const taken = (args: Readonly<Record<string, Tensor>>) => ({ assignments: args['assignments']!, where: args['where']! });
  const there = pair('dispatch', { x: f(tokens, hidden), ...specs }, f(seats, hidden), (a) => dispatch(a['x']!, taken(a)));
  const back = pair('combine', { x: f(seats, hidden), weights: f(tokens, 2), ...specs }, f(tokens, hidden), (a) =>
    combine(a['x']!, a['weights']!, taken(a)),
  );
  return [...there, ...back].map((k) => ({ ...k, shape: `${tokens}×${hidden}`, values: { assignments, where } }));
}

/** One matrix of weights and the state of its optimizer, all in place. */
function updates(rows: number, cols: number): readonly Kernel[] {
  const shape = f(rows, cols);
  const bytes = 4 * sizeOf(shape.shape);
  const small = { lr: f(), decay: f() };
  const attrs = { batch: 1, rows, cols, eps1: 1e-30, eps2: 1e-3, clip: 1 };
  return [
    moving('adafactor', {
      shape: `${rows}×${cols}`,
      specs: { w: shape, g: shape, vRow: f(rows), vCol: f(cols), ...small },
      build: ({ w, g, vRow, vCol, lr, decay }) => ({
        ...adafactorFactored({ w: w!, g: g!, vRow: vRow!, vCol: vCol!, lr: lr!, decay: decay! }, attrs),
      }),
      updates: { w: 'w', vRow: 'vRow', vCol: 'vCol' },
      values: { lr: [1e-3], decay: [0.9] },
      // The size of the whole update decides how much of it is taken: weights and gradient are read twice (the peers count so too).
      work: { read: 4 * bytes, written: bytes },
    }),
    moving('adamw', {
      shape: `${rows}×${cols}`,
      specs: { w: shape, g: shape, m: shape, v: shape, lr: f(), step: f() },
      build: ({ w, g, m, v, lr, step }) => ({
        ...adamw({ w: w!, g: g!, m: m!, v: v!, lr: lr!, step: step! }, { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 }),
      }),
      updates: { w: 'w', m: 'm', v: 'v' },
      values: { lr: [1e-3], step: [10], v: [0.01, 0.02, 0.03] },
    }),
  ];
}

export const MEMORY_KERNELS: readonly Kernel[] = [
  copy(2048, 256),
  copy(2048, 768),
  copy(8192, 768),
  ...norm(2048, 256),
  ...norm(2048, 768),
  ...norm(8192, 768),
  ...gate(2048, 2048),
  ...gate(4096, 2048),
  ...rotation(2048, 8, 32),
  ...rotation(8192, 12, 64),
  moving('fused elementwise', {
    specs: { a: f(4096, 2048), b: f(4096, 2048) },
    build: ({ a, b }) => ({ y: add(mul(a!, b!), scalar(1)) }),
  }),
  ...[16, 64, 256].flatMap((experts) => choice(2048, experts)),
  ...choice(8192, 16),
  ...seating(2048, 256),
  ...seating(8192, 768),
  ...table(32_128, 2048),
  ...table(32_128, 8192),
  ...table(256_384, 2048),
  ...updates(768, 6144),
  ...updates(4096, 6144),
];
