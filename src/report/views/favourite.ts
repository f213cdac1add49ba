/** How firmly a token id holds to one expert, against a router with the same loads that cannot see it.   E experts. */
import { rng } from '../../base/index.ts';
import { choicesOfRank, type LayerRecord, type RoutingRecord } from '../../routing/index.ts';

export interface Favourite {
  readonly layer: number;
  /** The most frequent first choice of the id. */
  readonly expert: number;
  /** Share of the id's first choices that went there. */
  readonly share: number;
  /** Mean share of the most frequent of n first choices drawn blindly with the loads of all text. */
  readonly blind: number;
  /** How often two occurrences share their first expert; unbiased at any n. NaN for one occurrence. */
  readonly together: number;
  /** The same of two blind choices: Σ p². */
  readonly togetherByChance: number;
  readonly n: number;
}

const DRAWS = 200;

/** First choices at the given rows, which must not be none. */
export function favourite(record: RoutingRecord, layer: LayerRecord, rows: readonly number[], seed: number): Favourite {
  const first = choicesOfRank(record, layer, 0);
  const loads = countsOf(first, record.experts);
  const own = countsOf(
    rows.map((row) => first[row]!),
    record.experts,
  );
  const n = rows.length;
  const most = Math.max(...own);
  return {
    layer: layer.layer,
    expert: own.indexOf(most),
    share: most / n,
    blind: blindMost(loads, n, seed) / n,
    together: own.reduce((sum, count) => sum + count * (count - 1), 0) / (n * (n - 1)),
    togetherByChance: loads.reduce((sum, count) => sum + (count / first.length) ** 2, 0),
    n,
  };
}

function countsOf(choices: ArrayLike<number>, experts: number): number[] {
  const counts = Array.from({ length: experts }, () => 0);
  for (let i = 0; i < choices.length; i++) counts[choices[i]!]!++;
  return counts;
}

/** Mean of the largest count among n blind choices. */
function blindMost(loads: readonly number[], n: number, seed: number): number {
  const total = loads.reduce((a, b) => a + b, 0);
  let below = 0;
  const upTo = loads.map((load) => (below += load) / total);
  const stream = rng(seed).at('report/blind');
  let sum = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    const counts = loads.map(() => 0);
    for (let i = 0; i < n; i++) {
      const u = stream.uniform(draw * n + i);
      counts[upTo.findIndex((edge) => u < edge)]!++;
    }
    sum += Math.max(...counts);
  }
  return sum / DRAWS;
}
