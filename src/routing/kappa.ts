/** Agreement of two routings of one text, by token id (κ) and slot by slot; a jackknife over G blocks in one pass. */
import type { Probe } from './probe.ts';

/** [1+G] a number of the whole probe, then without block 0, 1, … */
export type Replicated = Float64Array;

/** As observed, and as the loads alone would have it. */
export interface Agreement {
  readonly observed: Replicated;
  readonly chance: Replicated;
}

/** (o − c)/(1 − c) */
export const beyondChance = ({ observed, chance }: Agreement): Replicated => observed.map((o, r) => (o - chance[r]!) / (1 - chance[r]!));

/**
 * κ(i,j): how often two tokens of one id, in different sequences, share their expert, one routed as in i, one as in j, beyond chance.
 * o is the mean over ids v, weight N_v, of Σe(Nⁱ_ve Nʲ_ve − Σs nⁱ_vse nʲ_vse)/(N_v² − Σs n_vs²); chance is Σe pⁱ_e pʲ_e.
 * Unbiased at any size: unrelated maps score 0 however few tokens there are. `i`, `j` [N] choices in the probe's order.
 */
export function kappa(probe: Probe, i: Int32Array, j: Int32Array): Replicated {
  const { byToken, token, blocks } = probe;
  const meets = new Float64Array(blocks + 1);
  const weight = new Float64Array(blocks + 1);
  const sums = emptySums(probe);
  for (let at = 0, end = 0; at < byToken.length; at = end) {
    while (end < byToken.length && token[byToken[end]!] === token[byToken[at]!]) end++;
    countToken(probe, sums, { i, j, at, end });
    for (let r = 0; r <= blocks; r++) {
      const count = sums.count[0]! - (r && sums.count[r]!);
      const pairs = count * count - (sums.squares[0]! - (r && sums.squares[r]!));
      if (pairs === 0) continue;
      // Σe (A − A_g)(B − B_g) less what meets inside one sequence
      const all = sums.all[0]! - (r && sums.all[r]!) - (sums.inside[0]! - (r && sums.inside[r]!));
      meets[r]! += (count * all) / pairs;
      weight[r]! += count;
    }
  }
  return beyondChance({ observed: meets.map((sum, r) => sum / weight[r]!), chance: chanceOf(probe, [i], [j]) });
}

/** Sums over one token id: at 0 of the whole, at 1 + g what leaving out block g takes away. */
interface Sums {
  /** N_v */
  readonly count: Float64Array;
  /** Σs n_vs² */
  readonly squares: Float64Array;
  /** Σs Σe nⁱ_vse nʲ_vse */
  readonly inside: Float64Array;
  /** Σe Nⁱ_ve Nʲ_ve */
  readonly all: Float64Array;
  /** [(1+G)·E] choices of the id: whole, and of each block. */
  readonly byI: Float64Array;
  readonly byJ: Float64Array;
  /** [E] choices in one sequence as in j. */
  readonly sequenceJ: Float64Array;
}

function emptySums({ blocks, experts }: Probe): Sums {
  const zeros = (n: number): Float64Array => new Float64Array(n);
  const [R, cells] = [blocks + 1, (blocks + 1) * experts];
  return {
    count: zeros(R),
    squares: zeros(R),
    inside: zeros(R),
    all: zeros(R),
    byI: zeros(cells),
    byJ: zeros(cells),
    sequenceJ: zeros(experts),
  };
}

interface Run {
  readonly i: Int32Array;
  readonly j: Int32Array;
  /** Places [at, end) of `byToken`. */
  readonly at: number;
  readonly end: number;
}

function countToken(probe: Probe, sums: Sums, { i, j, at, end }: Run): void {
  const { byToken, sequence, block, experts: E } = probe;
  for (const values of Object.values(sums)) values.fill(0);
  for (let first = at, last = at; first < end; first = last) {
    const s = sequence[byToken[first]!]!;
    while (last < end && sequence[byToken[last]!] === s) last++;
    countSequence(sums, byToken.subarray(first, last), { i, j, r: 1 + block[s]! });
  }
  for (let place = at; place < end; place++) {
    const n = byToken[place]!;
    const r = 1 + block[sequence[n]!]!;
    const [e, f] = [i[n]!, j[n]!];
    sums.all[0]! += sums.byJ[e]!;
    // A·B_g + A_g·B − A_g·B_g is what block g adds to A·B
    sums.all[r]! += sums.byJ[e]! + sums.byI[f]! - sums.byJ[r * E + e]!;
  }
}

/** Counts the tokens of one id in one sequence, for the whole and for its block. */
function countSequence(
  sums: Sums,
  places: Int32Array,
  { i, j, r }: { readonly i: Int32Array; readonly j: Int32Array; readonly r: number },
): void {
  const E = sums.sequenceJ.length;
  for (const n of places) {
    sums.byI[i[n]!]!++;
    sums.byJ[j[n]!]!++;
    sums.byI[r * E + i[n]!]!++;
    sums.byJ[r * E + j[n]!]!++;
    sums.sequenceJ[j[n]!]!++;
  }
  let own = 0;
  for (const n of places) own += sums.sequenceJ[i[n]!]!;
  for (const n of places) sums.sequenceJ[j[n]!] = 0;
  for (const at of [0, r]) {
    sums.count[at]! += places.length;
    sums.squares[at]! += places.length ** 2;
    sums.inside[at]! += own;
  }
}

/** Mean share of K experts that two routings of a token have in common. `i`, `j`: K choice vectors [N] each; K = 1 is plain agreement. */
export function overlap(probe: Probe, i: readonly Int32Array[], j: readonly Int32Array[]): Agreement {
  const { sequence, block, blocks } = probe;
  const common = new Float64Array(blocks + 1);
  const slots = new Float64Array(blocks + 1);
  for (let n = 0; n < sequence.length; n++) {
    const r = 1 + block[sequence[n]!]!;
    slots[r]! += i.length;
    for (const a of i) for (const b of j) if (a[n] === b[n]) common[r]!++;
  }
  const all = withoutEach(slots);
  return { observed: withoutEach(common).map((sum, r) => sum / all[r]!), chance: chanceOf(probe, i, j) };
}

/** Σe P(e ∈ i)·P(e ∈ j) ÷ K, P(e ∈ i) the share of tokens that have e among their choices. */
function chanceOf({ sequence, block, blocks, experts }: Probe, i: readonly Int32Array[], j: readonly Int32Array[]): Replicated {
  const byExpert = (choices: readonly Int32Array[]): Float64Array[] => {
    const counts = Array.from({ length: experts }, () => new Float64Array(blocks + 1));
    for (const choice of choices) choice.forEach((e, n) => counts[e]![1 + block[sequence[n]!]!]!++);
    return counts.map(withoutEach);
  };
  const tokens = new Float64Array(blocks + 1);
  for (const s of sequence) tokens[1 + block[s]!]!++;
  const [a, b] = [byExpert(i), byExpert(j)];
  return withoutEach(tokens).map((n, r) => a.reduce((sum, counts, e) => sum + (counts[r]! / n) * (b[e]![r]! / n), 0) / i.length);
}

/** From sums by block (at 1 + g): their total at 0, the total without block g at 1 + g. */
function withoutEach(byBlock: Float64Array): Replicated {
  const total = byBlock.reduce((a, b) => a + b, 0);
  return byBlock.map((sum, r) => (r === 0 ? total : total - sum));
}
