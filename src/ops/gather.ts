/** gather, scatter_add: rows by index and their sums back; an embedding and its gradient.   R rows. */
import { op, rules, sizeOf, type Tensor } from '../graph/index.ts';
import { exact, f, i } from './cases.ts';
import { full } from './constant.ts';
import { less, lessEqual, max, min, mul, select, toF32 } from './elementwise.ts';
import { reshape } from './reshape.ts';

const gatherOp = op(
  'gather',
  { x: 'any[*]', indices: 'i[*]' },
  { y: 'any[*]' },
  {
    picks: ['x'],
    infer(x) {
      const { dtype, shape } = x['x']!;
      if (shape.length === 0) throw new TypeError('[gather] x: expected rows, got a scalar');
      return { y: { dtype, shape: [...x['indices']!.shape, ...shape.slice(1)] } };
    },
  },
);
rules(gatherOp, {
  vjp: ({ x, indices }, { y: dy }) => ({ x: scatterAdd(dy!, min(max(indices, 0), x.shape[0]! - 1), x.shape[0]!) }),
  ref({ x, indices }, { y }, { shapes }) {
    const rows = shapes.x[0]!;
    const width = sizeOf(shapes.x.slice(1));
    for (let n = 0; n < indices.length; n++) {
      const row = Math.max(0, Math.min(rows - 1, indices[n]!));
      for (let d = 0; d < width; d++) y[n * width + d] = x[row * width + d]!;
    }
  },
  cases: [
    { about: 'an embedding', inputs: { x: f(11, 33), indices: i(11, 3, 7) } },
    { about: 'indices outside are clamped', inputs: { x: f(4, 5), indices: exact('i32', [4], [-3, 0, 3, 99]) } },
    { about: 'no index', inputs: { x: f(4, 5), indices: i(4, 0) } },
  ],
});
/** Rows x[indices]; an index outside is clamped to the first or last row. */
export const gather = (x: Tensor, indices: Tensor): Tensor => gatherOp({ x, indices }).y;

interface ScatterAttrs {
  readonly rows: number;
}
const scatterOp = op(
  'scatter_add',
  { x: 'f[*]', indices: 'i[*]' },
  { y: 'f[*]' },
  {
    attrs: { rows: 'whole' },
    infer(x, { rows }: ScatterAttrs) {
      const { shape } = x['x']!;
      const lead = x['indices']!.shape;
      if (lead.some((d, a) => d !== shape[a]))
        throw new TypeError(`[scatter_add] x [${shape}] does not begin with the shape of indices [${lead}]`);
      return { y: { dtype: 'f32', shape: [rows, ...shape.slice(lead.length)] } };
    },
  },
);
rules(scatterOp, {
  vjp({ indices }, { y: dy }, _, { rows }) {
    // Dropped rows had no effect, but gather would clamp them to a row that exists.
    const like = (value: number): Tensor => full(indices.shape, value, 'i32');
    const inside = select(lessEqual(like(0), indices), less(indices, like(rows)), like(0));
    const taken = gather(dy!, indices);
    const mask = toF32(reshape(inside, [...indices.shape, ...new Array<number>(taken.shape.length - indices.shape.length).fill(1)]));
    return { x: mul(taken, mask) };
  },
  ref({ x, indices }, { y }, { shapes }) {
    const width = sizeOf(shapes.y.slice(1));
    for (let n = 0; n < indices.length; n++) {
      const row = indices[n]!;
      if (row < 0 || row >= shapes.y[0]!) continue;
      for (let d = 0; d < width; d++) y[row * width + d]! += x[n * width + d]!;
    }
  },
  cases: [
    { about: 'repeated rows', inputs: { x: f(40, 17), indices: i(5, 40) }, attrs: { rows: 9 } },
    { about: 'outside is dropped', inputs: { x: f(4, 3), indices: exact('i32', [4], [-1, 2, 7, 2]) }, attrs: { rows: 5 } },
  ],
});
/** zeros[rows, …] plus x at rows `indices`, in their order; indices outside are dropped. */
export const scatterAdd = (x: Tensor, indices: Tensor, rows: number): Tensor => scatterOp({ x, indices }, { rows }).y;
