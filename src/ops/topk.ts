/** topk: the k largest entries of each row, in order; ties go to the lower index, NaN comes first.   N rows, E entries. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, f } from './cases.ts';
import { putLast } from './take-last.ts';

interface TopkAttrs {
  readonly k: number;
}
const topkOp = op(
  'topk',
  { x: 'f[N,E]' },
  { values: 'f[*]', indices: 'i[*]' },
  {
    attrs: { k: 'count' },
    infer(x, { k }: TopkAttrs) {
      const [rows, entries] = x['x']!.shape as [number, number];
      if (k > entries) throw new TypeError(`[topk] k: ${k} of ${entries} entries`);
      return { values: { dtype: 'f32', shape: [rows, k] }, indices: { dtype: 'i32', shape: [rows, k] } };
    },
  },
);
rules(topkOp, {
  vjp: ({ x }, { values: dy }, { indices }) => (dy ? { x: putLast(dy, indices, x.shape[1]!) } : {}),
  ref({ x }, { values, indices }, { dims: { N, E }, attrs: { k } }) {
    for (let n = 0; n < N; n++) {
      const at = (e: number): number => x[n * E + e]!;
      const first = (a: number, b: number): number => {
        const [nanA, nanB] = [Number.isNaN(at(a)), Number.isNaN(at(b))];
        return nanA || nanB ? Number(nanB) - Number(nanA) || a - b : at(b) - at(a) || a - b;
      };
      const order = Array.from({ length: E }, (_, e) => e).sort(first);
      for (let j = 0; j < k; j++) {
        indices[n * k + j] = order[j]!;
        values[n * k + j] = at(order[j]!);
      }
    }
  },
  cases: [
    { about: 'two of eight', inputs: { x: f(33, 8) }, attrs: { k: 2 } },
    { about: 'all of five', inputs: { x: f(7, 5) }, attrs: { k: 5 } },
    { about: 'ties', inputs: { x: exact('f32', [2, 4], [0, 0, 0, 0, 1, 2, 2, 1]) }, attrs: { k: 2 }, kink: true },
    { about: 'long rows', inputs: { x: f(3, 117) }, attrs: { k: 2 } },
    {
      about: 'long rows with a tie, with a NaN, and at the end',
      inputs: {
        x: exact(
          'f32',
          [3, 70],
          Array.from({ length: 210 }, (_, i) => (i === 100 ? NaN : i % 70 < 33 ? -1 : (i % 7) + (i === 209 ? 9 : 0))),
        ),
      },
      attrs: { k: 1 },
      kink: true,
    },
  ],
});
/** values and indices [N,k] of the k largest entries of x [N,E]. */
export const topk = (x: Tensor, k: number): { values: Tensor; indices: Tensor } => topkOp({ x }, { k });
