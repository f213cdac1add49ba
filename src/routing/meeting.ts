/**
 * The meeting table: how often two tokens share their expert, by token id, sequence and domain.
 * v token id, d domain, s sequence, e expert.
 * Pairs are unbiased at any sample size, so nothing is corrected and no id is cut off.
 */
import type { Probe } from './probe.ts';

/** Cells: s… same sequence, same or other domain; the o… row is pairs of different ids. Each 0 to 1. */
export interface Meeting {
  readonly ss: number;
  readonly sd: number;
  readonly od: number;
  readonly oss: number;
  readonly osd: number;
  /** Other id, other domain: chance. */
  readonly ood: number;
  /** od over the ids of ss and oss, those that also repeat inside a sequence. */
  readonly odRepeated: number;
  /** (od − ood)/(1 − ood): what the token id alone fixes. */
  readonly kappa: number;
  /** Share of the tokens whose id stands in ≥ 2 sequences of each of ≥ 2 domains; and of those whose id also repeats. */
  readonly coverage: number;
  readonly coverageRepeated: number;
}

interface Sums {
  /** [E] N_vde, zeroed after use. */
  readonly own: Float64Array;
  /** [E] n_vse, zeroed after use. */
  readonly inSequence: Float64Array;
  /** [E] Σ over domains with pairs of p_vd, and of p_d; then of N_v alone. */
  readonly p: Float64Array;
  readonly q: Float64Array;
}

/** All cells from the sequences outside block `without` (NONE: all). `choices` [N] in the probe's order. */
export function meeting(probe: Probe, choices: Int32Array, without: number): Meeting {
  const loads = loadsOf(probe, choices, without);
  const scratch = () => new Float64Array(probe.experts);
  const sums: Sums = { own: scratch(), inSequence: scratch(), p: scratch(), q: scratch() };
  const cells = { ss: 0, sd: 0, od: 0, oss: 0, osd: 0, ood: 0, odRepeated: 0 };
  let [covered, repeated] = [0, 0];
  for (let at = 0; at < probe.byToken.length;) {
    const end = endOfRun(probe, at, probe.token);
    const one = meetingOfToken(probe, choices, { at, end, without, loads, sums });
    at = end;
    if (!one) continue;
    covered += one.weight;
    for (const cell of ['sd', 'od', 'osd', 'ood'] as const) cells[cell] += one.weight * one[cell];
    if (Number.isNaN(one.ss + one.oss)) continue;
    repeated += one.weight;
    for (const cell of ['ss', 'oss'] as const) cells[cell] += one.weight * one[cell];
    cells.odRepeated += one.weight * one.od;
  }
  const [od, ood] = [cells.od / covered, cells.ood / covered];
  return {
    ss: cells.ss / repeated,
    sd: cells.sd / covered,
    od,
    oss: cells.oss / repeated,
    osd: cells.osd / covered,
    ood,
    odRepeated: cells.odRepeated / repeated,
    kappa: (od - ood) / (1 - ood),
    coverage: covered / loads.tokens,
    coverageRepeated: repeated / loads.tokens,
  };
}

interface Loads {
  /** [S·E] n_se and [S] n_s. */
  readonly bySequence: Float64Array;
  readonly ofSequence: Float64Array;
  /** [D·E] N_de and [D] N_d. */
  readonly byDomain: Float64Array;
  readonly ofDomain: Float64Array;
  readonly tokens: number;
}

function loadsOf({ sequence, domain, block, domains, experts: E }: Probe, choices: Int32Array, without: number): Loads {
  const [bySequence, ofSequence] = [new Float64Array(block.length * E), new Float64Array(block.length)];
  const [byDomain, ofDomain] = [new Float64Array(domains.length * E), new Float64Array(domains.length)];
  let tokens = 0;
  for (let n = 0; n < choices.length; n++) {
    const s = sequence[n]!;
    if (block[s] === without) continue;
    const [d, e] = [domain[n]!, choices[n]!];
    bySequence[s * E + e]!++;
    ofSequence[s]!++;
    byDomain[d * E + e]!++;
    ofDomain[d]!++;
    tokens++;
  }
  return { bySequence, ofSequence, byDomain, ofDomain, tokens };
}

/** End of the run of places in `byToken` that share the label of the first. */
function endOfRun({ byToken }: Probe, at: number, label: Int32Array): number {
  const own = label[byToken[at]!]!;
  let end = at + 1;
  while (end < byToken.length && label[byToken[end]!] === own) end++;
  return end;
}

interface Run {
  readonly at: number;
  readonly end: number;
  readonly without: number;
  readonly loads: Loads;
  readonly sums: Sums;
}

type TokenMeeting = Omit<Meeting, 'odRepeated' | 'kappa' | 'coverage' | 'coverageRepeated'> & { readonly weight: number };

/** Cells of one token id; undefined unless it stands in ≥ 2 sequences of each of ≥ 2 domains. */
function meetingOfToken(probe: Probe, choices: Int32Array, run: Run): TokenMeeting | undefined {
  const { sums, loads } = run;
  const E = probe.experts;
  sums.p.fill(0);
  sums.q.fill(0);
  let [weight, domains, sd, osd, squares, crosses] = [0, 0, 0, 0, 0, 0];
  const inside = { same: 0, pairs: 0, other: 0, otherWeight: 0 };
  for (let at = run.at; at < run.end;) {
    const d = probe.domain[probe.byToken[at]!]!;
    const one = meetingInDomain(probe, choices, { ...run, at });
    at = one.end;
    weight += one.count;
    inside.same += one.inside.same;
    inside.pairs += one.inside.pairs;
    inside.other += one.inside.other;
    inside.otherWeight += one.inside.otherWeight;
    if (one.pairs > 0 && one.otherPairs > 0) {
      domains++;
      sd += one.same / one.pairs;
      osd += one.otherSame / one.otherPairs;
      for (let e = 0; e < E; e++) {
        const p = sums.own[e]! / one.count;
        const q = loads.byDomain[d * E + e]! / loads.ofDomain[d]!;
        sums.p[e]! += p;
        sums.q[e]! += q;
        squares += p * p;
        crosses += p * q;
      }
    }
    sums.own.fill(0);
  }
  if (domains < 2) return undefined;
  // Σ over d ≠ d' of p_d·p_d' = |Σ p|² − Σ |p|²
  let [pp, pq] = [-squares, -crosses];
  for (let e = 0; e < E; e++) [pp, pq] = [pp + sums.p[e]! ** 2, pq + sums.p[e]! * sums.q[e]!];
  const ordered = domains * (domains - 1);
  return {
    weight,
    ss: inside.same / inside.pairs,
    oss: inside.other / inside.otherWeight,
    sd: sd / domains,
    osd: osd / domains,
    od: pp / ordered,
    ood: pq / ordered,
  };
}

/** Sums over one token id in one domain; leaves N_vde in `sums.own`. */
function meetingInDomain(probe: Probe, choices: Int32Array, { at, end, without, loads, sums }: Run) {
  const { byToken, sequence, domain, block, experts: E } = probe;
  const d = domain[byToken[at]!]!;
  const inside = { same: 0, pairs: 0, other: 0, otherWeight: 0 };
  let [count, ownSquares, ownPairs, crossSame, crossPairs] = [0, 0, 0, 0, 0];
  while (at < end && domain[byToken[at]!] === d) {
    const s = sequence[byToken[at]!]!;
    const first = at;
    while (at < end && sequence[byToken[at]!] === s) at++;
    if (block[s] === without) continue;
    for (let i = first; i < at; i++) sums.inSequence[choices[byToken[i]!]!]!++;
    let [same, other] = [0, 0]; // Σe n_vse², Σe n_vse(n_se − n_vse)
    for (let i = first; i < at; i++) {
      const e = choices[byToken[i]!]!;
      same += sums.inSequence[e]!;
      other += loads.bySequence[s * E + e]! - sums.inSequence[e]!;
      sums.own[e]!++;
    }
    for (let i = first; i < at; i++) sums.inSequence[choices[byToken[i]!]!] = 0;
    const n = at - first;
    const others = n * (loads.ofSequence[s]! - n);
    const pairs = n * (n - 1);
    count += n;
    ownSquares += same;
    ownPairs += n * n;
    crossSame += other;
    crossPairs += others;
    inside.same += same - n;
    inside.pairs += pairs;
    if (others > 0) {
      inside.other += (pairs * other) / others;
      inside.otherWeight += pairs;
    }
  }
  let [all, otherAll] = [0, 0];
  for (let e = 0; e < E; e++) {
    all += sums.own[e]! ** 2;
    otherAll += sums.own[e]! * (loads.byDomain[d * E + e]! - sums.own[e]!);
  }
  return {
    end: at,
    count,
    inside,
    same: all - ownSquares,
    pairs: count * count - ownPairs,
    otherSame: otherAll - crossSame,
    otherPairs: count * (loads.ofDomain[d]! - count) - crossPairs,
  };
}
