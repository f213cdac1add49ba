/** assign_slots: which (token, choice) gets which slot of its expert, by priority and capacity.   T tokens, K choices, E experts, S = T·K. */
import { op, rules, type Tensor } from '../graph/index.ts';
import { exact, i } from './cases.ts';

interface SlotAttrs {
  readonly experts: number;
  /** Tokens of a routing group; T is a multiple of it. */
  readonly group: number;
  readonly capacity: number;
}
const slotsOp = op(
  'assign_slots',
  { chosen: 'i[T,K]' },
  { assignments: 'i[*]', where: 'i[*]', slot: 'i[*]', kept: 'i[*]', sizes: 'i[*]' },
  {
    attrs: { experts: 'count', group: 'count', capacity: 'whole' },
    infer(x, { experts, group }: SlotAttrs) {
      const [tokens, choices] = x['chosen']!.shape as [number, number];
      if (group < 1 || tokens % group !== 0)
        throw new TypeError(`[assign_slots] group: ${tokens} tokens do not split into groups of ${group}`);
      const each = { dtype: 'i32', shape: [tokens, choices] } as const;
      return {
        assignments: { dtype: 'i32', shape: [tokens * choices] },
        where: each,
        slot: each,
        kept: each,
        sizes: { dtype: 'i32', shape: [experts] },
      };
    },
  },
);
rules(slotsOp, {
  // Priority of the reference (2.6): within a group all first choices in token order, then all second choices; overflow counts too.
  ref({ chosen }, { assignments, where, slot, kept, sizes }, { dims: { T, K }, attrs: { experts, group, capacity } }) {
    const seats: number[][] = Array.from({ length: experts }, () => []);
    for (let first = 0; first < T; first += group) {
      const taken = new Array<number>(experts).fill(0);
      for (let k = 0; k < K; k++)
        for (let t = first; t < first + group; t++) {
          const at = t * K + k;
          const expert = chosen[at]!;
          const exists = expert >= 0 && expert < experts;
          slot[at] = exists ? taken[expert]!++ : -1;
          kept[at] = Number(exists && slot[at]! < capacity);
          where[at] = -1;
          if (kept[at]) seats[expert]!.push(at);
        }
    }
    assignments.fill(-1);
    seats.flat().forEach((at, position) => {
      assignments[position] = at;
      where[at] = position;
    });
    seats.forEach((list, e) => (sizes[e] = list.length));
  },
  cases: [
    { about: 'overflow in two groups', inputs: { chosen: i(4, 24, 2) }, attrs: { experts: 4, group: 12, capacity: 4 } },
    { about: 'an expert without tokens', inputs: { chosen: i(3, 10, 2) }, attrs: { experts: 7, group: 10, capacity: 99 } },
    { about: 'capacity zero', inputs: { chosen: i(3, 4, 1) }, attrs: { experts: 3, group: 2, capacity: 0 } },
    {
      about: 'experts that do not exist',
      inputs: { chosen: exact('i32', [2, 2], [-1, 0, 5, 1]) },
      attrs: { experts: 2, group: 2, capacity: 4 },
    },
  ],
});

export interface Slots {
  /** [S] t·K + k of each seat, sorted by expert, group and slot; −1 beyond the last. */
  readonly assignments: Tensor;
  /** [T,K] seat of each choice, −1 when dropped. */
  readonly where: Tensor;
  /** [T,K] rank inside the expert, counting entries that overflow. */
  readonly slot: Tensor;
  /** [T,K] 1 where slot < capacity. */
  readonly kept: Tensor;
  /** [E] seats taken per expert, all groups together. */
  readonly sizes: Tensor;
}
/** Seats for the chosen experts i[T,K]. Throws TypeError when T does not split into groups. */
export const assignSlots = (chosen: Tensor, attrs: SlotAttrs): Slots => slotsOp({ chosen }, attrs);
