/** dynamic_update_slice: rows of an array replaced from a row known at run time: how a KV cache grows. */
import { op, rules, sizeOf, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';

const updateOp = op(
  'dynamic_update_slice',
  { x: 'any[*]', update: 'any[*]', start: 'i[]' },
  { y: 'any[*]' },
  {
    updates: { y: 'x' },
    infer(x) {
      const [into, rows] = [x['x']!.shape, x['update']!.shape];
      if (x['x']!.dtype !== x['update']!.dtype) throw new TypeError('[dynamic_update_slice] x and update differ in dtype');
      if (!(rows[0]! <= into[0]!) || into.slice(1).join() !== rows.slice(1).join())
        throw new TypeError(`[dynamic_update_slice] update [${rows}] does not fit into x [${into}]`);
      return { y: { dtype: x['x']!.dtype, shape: into } };
    },
  },
);
rules(updateOp, {
  ref({ x, update, start }, { y }, { shapes }) {
    const width = sizeOf(shapes.x.slice(1));
    const at = Math.max(0, Math.min(shapes.x[0]! - shapes.update[0]!, start[0]!)) * width;
    for (let n = 0; n < x.length; n++) y[n] = n >= at && n < at + update.length ? update[n - at]! : x[n]!;
  },
  cases: [
    { about: 'middle', inputs: { x: f(7, 5), update: f(2, 5), start: exact('i32', [], [3]) } },
    { about: 'past the end is clamped', inputs: { x: f(7, 5), update: f(3, 5), start: exact('i32', [], [6]) } },
  ],
});
/** x with rows start … start + N − 1 replaced by `update` [N,…]; `start` i[] is clamped so that they fit. */
export const dynamicUpdateSlice = (x: Tensor, update: Tensor, start: Tensor): Tensor => updateOp({ x, update, start }).y;
