/** adafactor, adafactor_factored: one update as T5X does it.   B matrices of R rows and C columns, each with its own statistics. */
import { op, requireAlike, rules, sizeOf, type Numbers, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

interface AdafactorAttrs {
  /** Matrices (experts) with statistics of their own. */
  readonly batch: number;
  /** Added to the squared gradient. */
  readonly eps1: number;
  /** Floor of the parameter's root mean square. */
  readonly eps2: number;
  /** Largest root mean square of an update. */
  readonly clip: number;
}
interface FactoredAttrs extends AdafactorAttrs {
  readonly rows: number;
  readonly cols: number;
}
const factoredOp = op(
  'adafactor_factored',
  { w: 'f[*]', g: 'f[*]', vRow: 'f[*]', vCol: 'f[*]', lr: 'f[]', decay: 'f[]' },
  { w: 'f[*]', vRow: 'f[*]', vCol: 'f[*]' },
  {
    attrs: { batch: 'whole', rows: 'whole', cols: 'whole', eps1: 'number', eps2: 'number', clip: 'number' },
    updates: { w: 'w', vRow: 'vRow', vCol: 'vCol' },
    infer(x, { batch, rows, cols }: FactoredAttrs) {
      requireAlike('adafactor_factored', x, ['w', 'g']);
      const sizes = [x['w'], x['vRow'], x['vCol']].map((t) => sizeOf(t!.shape));
      if (sizes.join() !== [batch * rows * cols, batch * rows, batch * cols].join())
        throw new TypeError(
          `[adafactor_factored] w, vRow and vCol: ${sizes} entries are not ${batch} matrices of ${rows}×${cols} with their rows and columns`,
        );
      return { w: x['w']!, vRow: x['vRow']!, vCol: x['vCol']! };
    },
  },
);
const plainOp = op(
  'adafactor',
  { w: 'f[*]', g: 'f[*]', v: 'f[*]', lr: 'f[]', decay: 'f[]' },
  { w: 'f[*]', v: 'f[*]' },
  {
    attrs: { batch: 'whole', eps1: 'number', eps2: 'number', clip: 'number' },
    updates: { w: 'w', v: 'v' },
    infer(x, { batch }: AdafactorAttrs) {
      requireAlike('adafactor', x, ['w', 'g', 'v']);
      const size = sizeOf(x['w']!.shape);
      if (batch < 1 ? size > 0 : size % batch !== 0) throw new TypeError(`[adafactor] batch: ${size} entries are not ${batch} tensors`);
      return { w: x['w']!, v: x['v']! };
    },
  },
);

const rms = (n: number, at: (i: number) => number): number => {
  let squares = 0;
  for (let i = 0; i < n; i++) squares += at(i) ** 2;
  return Math.sqrt(squares / n);
};
/** w − lr · max(rms(w), eps2) · y ÷ max(1, rms(y) ÷ clip), for one matrix beginning at `base`. */
function step(
  to: Numbers,
  w: Numbers,
  y: readonly number[],
  { base, lr, attrs }: { base: number; lr: number; attrs: AdafactorAttrs },
): void {
  const scale =
    (lr *
      Math.max(
        rms(y.length, (i) => w[base + i]!),
        attrs.eps2,
      )) /
    Math.max(1, rms(y.length, (i) => y[i]!) / attrs.clip);
  y.forEach((u, i) => (to[base + i] = w[base + i]! - scale * u));
}

const scalars = { lr: exact('f32', [], [0.01]), decay: exact('f32', [], [0.7]) };
rules(factoredOp, {
  ref(x, y, { attrs }) {
    const { batch, rows, cols, eps1 } = attrs;
    const keep = x.decay[0]!;
    for (let b = 0; b < batch; b++) {
      const base = b * rows * cols;
      const squared = (r: number, c: number): number => x.g[base + r * cols + c]! ** 2 + eps1;
      for (let r = 0; r < rows; r++) {
        let sum = 0;
        for (let c = 0; c < cols; c++) sum += squared(r, c);
        y.vRow[b * rows + r] = keep * x.vRow[b * rows + r]! + ((1 - keep) * sum) / cols;
      }
      for (let c = 0; c < cols; c++) {
        let sum = 0;
        for (let r = 0; r < rows; r++) sum += squared(r, c);
        y.vCol[b * cols + c] = keep * x.vCol[b * cols + c]! + ((1 - keep) * sum) / rows;
      }
      let mean = 0;
      for (let r = 0; r < rows; r++) mean += y.vRow[b * rows + r]! / rows;
      const update = Array.from({ length: rows * cols }, (_, i) => {
        const [r, c] = [Math.floor(i / cols), i % cols];
        return x.g[base + i]! / Math.sqrt(y.vRow[b * rows + r]! / mean) / Math.sqrt(y.vCol[b * cols + c]!);
      });
      step(y.w, x.w, update, { base, lr: x.lr[0]!, attrs });
    }
  },
  cases: [
    {
      about: 'two experts',
      inputs: {
        w: f(2, 13, 37),
        g: f(2, 13, 37),
        vRow: exact('f32', [2, 13], ramp(26)),
        vCol: exact('f32', [2, 37], ramp(74)),
        ...scalars,
      },
      attrs: { batch: 2, rows: 13, cols: 37, eps1: 1e-30, eps2: 1e-3, clip: 1 },
    },
    {
      about: 'one tall matrix',
      inputs: { w: f(300, 9), g: f(300, 9), vRow: exact('f32', [1, 300], ramp(300)), vCol: exact('f32', [1, 9], ramp(9)), ...scalars },
      attrs: { batch: 1, rows: 300, cols: 9, eps1: 1e-30, eps2: 1e-3, clip: 1 },
    },
  ],
});
rules(plainOp, {
  ref(x, y, { attrs }) {
    const keep = x.decay[0]!;
    const size = x.w.length / attrs.batch;
    for (let i = 0; i < x.w.length; i++) y.v[i] = keep * x.v[i]! + (1 - keep) * (x.g[i]! ** 2 + attrs.eps1);
    for (let b = 0; b < attrs.batch; b++) {
      const base = b * size;
      const update = Array.from({ length: size }, (_, i) => x.g[base + i]! / Math.sqrt(y.v[base + i]!));
      step(y.w, x.w, update, { base, lr: x.lr[0]!, attrs });
    }
  },
  cases: [
    {
      about: 'a vector',
      inputs: { w: f(37), g: f(37), v: exact('f32', [37], ramp(37)), ...scalars },
      attrs: { batch: 1, eps1: 1e-30, eps2: 1e-3, clip: 1 },
    },
  ],
});
function ramp(n: number): number[] {
  return Array.from({ length: n }, (_, i) => 0.5 + (i % 7) / 5);
}

/** Factored update; w and g of any shape that is B·R·C numbers, statistics of B·R and B·C numbers (reference 5.1). */
export const adafactorFactored = (
  x: { w: Tensor; g: Tensor; vRow: Tensor; vCol: Tensor; lr: Tensor; decay: Tensor },
  attrs: FactoredAttrs,
): { w: Tensor; vRow: Tensor; vCol: Tensor } => factoredOp(x, attrs);
/** Unfactored update: v has the shape of w. */
export const adafactor = (
  x: { w: Tensor; g: Tensor; v: Tensor; lr: Tensor; decay: Tensor },
  attrs: AdafactorAttrs,
): { w: Tensor; v: Tensor } => plainOp(x, attrs);
