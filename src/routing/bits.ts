/**
 * Held-out bits: how well knowledge of a kind predicts a choice, each sequence predicted from all others.
 * Gains are lower bounds that grow with the probe set: compare them only on equal probe sets.   N tokens, E experts.
 */
import { denseIds, type Probe } from './probe.ts';

/** Tokens in a bucket of positions. */
const BUCKET = 16;
/** Added to seen and expected counts of the position tilt, and to each expert's load. */
const TILT = 4;
const PRIOR = 0.5;

/** Candidate weights of the coarser prediction (and of no tilt); the one of least total code length is taken. */
export interface Weights {
  readonly token: readonly number[];
  readonly domain: readonly number[];
  readonly position: readonly number[];
  readonly tokenDomain: readonly number[];
  readonly previous: readonly number[];
  readonly tilt: readonly number[];
}
const BACKOFF = [0.25, 1, 4, 16, 64];
export const WEIGHTS: Weights = {
  token: BACKOFF,
  domain: BACKOFF,
  position: BACKOFF,
  tokenDomain: BACKOFF,
  previous: [1, 16],
  tilt: [1, 4, 16],
};

/** Gains are shares of the code length of a router known by its loads alone; chance 0. */
export interface Gains {
  readonly token: number;
  readonly domain: number;
  readonly position: number;
  readonly domainGivenToken: number;
  /** What context adds to the token as far as we can find it: previous token and the sequence's habits, and position. */
  readonly context: number;
  /** 1 − token − context: context nobody described, or near-ties. */
  readonly unexplained: number;
  /** Share of choices equal to the likeliest expert of their token id; and of the heaviest expert. */
  readonly accuracy: number;
  readonly heaviest: number;
  /** Code length by loads alone, bits a choice. */
  readonly bits: number;
  /** The weights that won. */
  readonly weights: Weights;
}

interface Table {
  /** [N] cell of each token. */
  readonly cell: Int32Array;
  /** [cells·E] choices and [cells] their sums. */
  readonly counts: Int32Array;
  readonly totals: Int32Array;
}

/** What is counted of the text, without the choices: computed once a probe. */
export interface Contexts {
  readonly token: Cells;
  readonly domain: Cells;
  readonly position: Cells;
  readonly tokenDomain: Cells;
  readonly previous: Cells;
}
interface Cells {
  readonly cell: Int32Array;
  readonly cells: number;
}

export function contextsOf({ token, domain, position, previous, ids, domains }: Probe): Contexts {
  const cellsOf = (of: (n: number) => number): Cells => {
    const { dense, names } = denseIds(token.map((_, n) => of(n)));
    return { cell: dense, cells: names.length };
  };
  return {
    token: { cell: token, cells: ids },
    domain: { cell: domain, cells: domains.length },
    position: cellsOf((n) => Math.floor(position[n]! / BUCKET)),
    tokenDomain: cellsOf((n) => token[n]! * domains.length + domain[n]!),
    previous: pairCells(token, previous),
  };
}

/** Pairs of ids can exceed 32 bits, so they are numbered by number, not by product in an Int32Array. */
function pairCells(a: Int32Array, b: Int32Array): Cells {
  const number = new Map<number, number>();
  const cell = a.map((v, n) => {
    const key = v * 2 ** 21 + b[n]!;
    const known = number.get(key) ?? number.size;
    number.set(key, known);
    return known;
  });
  return { cell, cells: number.size };
}

type Tables = Readonly<Record<keyof Contexts | 'all', Table>>;

/** Gains from the sequences outside block `without` (NONE: all), with the best of the candidate weights. */
export function gains(
  probe: Probe,
  contexts: Contexts,
  choices: Int32Array,
  { weights, without }: { weights: Weights; without: number },
): Gains {
  const held = heldOut(probe, contexts, choices, without);
  const first = knowledge(held, weights);
  const second = refinement(held, first.weights, weights);
  const third = tilts(held, { ...first.weights, previous: second.weights.previous }, weights);
  const base = first.base;
  const context =
    (first.token - Math.min(third.tilted, second.previous, first.token) + first.token - Math.min(third.placed, first.token)) / base;
  const token = (base - first.token) / base;
  return {
    token,
    domain: (base - first.domain) / base,
    position: (base - first.position) / base,
    domainGivenToken: (first.token - second.tokenDomain) / base,
    context,
    unexplained: 1 - token - context,
    accuracy: third.hits / held.tokens,
    heaviest: Math.max(...held.tables.all.counts) / held.tokens,
    bits: base / held.tokens,
    weights: { ...first.weights, ...second.weights, tilt: third.weights },
  };
}

interface HeldOut {
  readonly probe: Probe;
  readonly choices: Int32Array;
  readonly tables: Tables;
  readonly tokens: number;
  /** Calls `visit(start, end)` for each sequence while those tables hold the other sequences only. */
  each(names: readonly (keyof Tables)[], visit: (start: number, end: number) => void): void;
}

function heldOut(probe: Probe, contexts: Contexts, choices: Int32Array, without: number): HeldOut {
  const E = probe.experts;
  const table = ({ cell, cells }: Cells): Table => ({ cell, counts: new Int32Array(cells * E), totals: new Int32Array(cells) });
  const { token, domain, position, tokenDomain, previous } = contexts;
  const all = { cell: new Int32Array(choices.length), cells: 1 };
  const tables: Tables = {
    all: table(all),
    token: table(token),
    domain: table(domain),
    position: table(position),
    tokenDomain: table(tokenDomain),
    previous: table(previous),
  };
  const count = ({ cell, counts, totals }: Table, start: number, end: number, by: number): void => {
    for (let n = start; n < end; n++) {
      const c = cell[n]!;
      counts[c * E + choices[n]!]! += by;
      totals[c]! += by;
    }
  };
  const sequences = [...probe.block.keys()].filter((s) => probe.block[s] !== without);
  for (const s of sequences) for (const each of Object.values(tables)) count(each, probe.starts[s]!, probe.starts[s + 1]!, 1);
  return {
    probe,
    choices,
    tables,
    tokens: tables.all.totals[0]!,
    each(names, visit) {
      for (const s of sequences) {
        const [start, end] = [probe.starts[s]!, probe.starts[s + 1]!];
        for (const name of names) count(tables[name], start, end, -1);
        visit(start, end);
        for (const name of names) count(tables[name], start, end, 1);
      }
    },
  };
}

/** Adds to `bits` the code length of a choice under the cell of token n, backing off to `prior` with each candidate weight. */
function addBits(
  bits: Float64Array,
  { cell, counts, totals }: Table,
  { n, at, prior }: { n: number; at: number; prior: number },
  weights: readonly number[],
  E: number,
): void {
  const c = cell[n]!;
  for (let i = 0; i < bits.length; i++) bits[i]! -= Math.log2((counts[c * E + at]! + weights[i]! * prior) / (totals[c]! + weights[i]!));
}

/** q0: the loads of the other sequences, ½ added to each. */
function loadsInto(q0: Float64Array, { counts, totals }: Table): void {
  const sum = totals[0]! + PRIOR * q0.length;
  for (let e = 0; e < q0.length; e++) q0[e] = (counts[e]! + PRIOR) / sum;
}

/** Of the code lengths by candidate, the least and its candidate. */
const least = (bits: Float64Array, candidates: readonly number[]): { bits: number; weight: readonly number[] } => {
  const best = bits.reduce((b, x, i) => (x < bits[b]! ? i : b), 0);
  return { bits: bits[best]!, weight: [candidates[best]!] };
};

/** q0, q(e|v), q(e|d), q(e|position bucket). */
function knowledge({ probe, choices, tables, each }: HeldOut, weights: Weights) {
  const q0 = new Float64Array(probe.experts);
  const bitsOf = (name: 'token' | 'domain' | 'position') => new Float64Array(weights[name].length);
  const [token, domain, position] = [bitsOf('token'), bitsOf('domain'), bitsOf('position')];
  let base = 0;
  each(['all', 'token', 'domain', 'position'], (start, end) => {
    loadsInto(q0, tables.all);
    let own = 0; // a sum captured by a closure is boxed at every step
    for (let n = start; n < end; n++) {
      const at = choices[n]!;
      const prior = q0[at]!;
      own -= Math.log2(prior);
      addBits(token, tables.token, { n, at, prior }, weights.token, q0.length);
      addBits(domain, tables.domain, { n, at, prior }, weights.domain, q0.length);
      addBits(position, tables.position, { n, at, prior }, weights.position, q0.length);
    }
    base += own;
  });
  const best = { token: least(token, weights.token), domain: least(domain, weights.domain), position: least(position, weights.position) };
  return {
    base,
    token: best.token.bits,
    domain: best.domain.bits,
    position: best.position.bits,
    weights: { token: best.token.weight, domain: best.domain.weight, position: best.position.weight },
  };
}

/** q(e|v,d) and q(e|v,u) on q(e|v). */
function refinement({ probe, choices, tables, each }: HeldOut, { token: [a = 0] }: Pick<Weights, 'token'>, weights: Weights) {
  const q0 = new Float64Array(probe.experts);
  const [withDomain, withPrevious] = [new Float64Array(weights.tokenDomain.length), new Float64Array(weights.previous.length)];
  const { cell, counts, totals } = tables.token;
  each(['all', 'token', 'tokenDomain', 'previous'], (start, end) => {
    loadsInto(q0, tables.all);
    for (let n = start; n < end; n++) {
      const at = choices[n]!;
      const c = cell[n]!;
      const prior = (counts[c * q0.length + at]! + a * q0[at]!) / (totals[c]! + a);
      addBits(withDomain, tables.tokenDomain, { n, at, prior }, weights.tokenDomain, q0.length);
      addBits(withPrevious, tables.previous, { n, at, prior }, weights.previous, q0.length);
    }
  });
  const [domain, previous] = [least(withDomain, weights.tokenDomain), least(withPrevious, weights.previous)];
  return { tokenDomain: domain.bits, previous: previous.bits, weights: { tokenDomain: domain.weight, previous: previous.weight } };
}

/** q(e|v,u) tilted by the habits of the sequence so far, q(e|v) tilted by those of the position bucket in other sequences. */
function tilts(held: HeldOut, { token: [a = 0], previous: [b = 0] }: Pick<Weights, 'token' | 'previous'>, { tilt }: Weights) {
  const { probe, choices, tables, each } = held;
  const E = probe.experts;
  const [q0, q, seen, expected] = [new Float64Array(E), new Float64Array(E), new Float64Array(E), new Float64Array(E)];
  const byToken = new Float64Array(choices.length * E); // q(e|v)
  const bits = new Float64Array(tilt.length);
  const [ofToken, ofPair] = [tables.token, tables.previous];
  let hits = 0;
  each(['all', 'token', 'previous'], (start, end) => {
    loadsInto(q0, tables.all);
    seen.fill(0);
    expected.fill(0);
    for (let n = start; n < end; n++) {
      const chosen = choices[n]!;
      const v = ofToken.cell[n]!;
      const vu = ofPair.cell[n]!;
      const perToken = 1 / (ofToken.totals[v]! + a);
      const perPair = 1 / (ofPair.totals[vu]! + b);
      let likeliest = 0;
      let most = 0;
      for (let e = 0; e < E; e++) {
        const qv = (ofToken.counts[v * E + e]! + a * q0[e]!) * perToken;
        byToken[n * E + e] = qv;
        if (qv > most) {
          likeliest = e;
          most = qv;
        }
        q[e] = (ofPair.counts[vu * E + e]! + b * qv) * perPair;
      }
      if (likeliest === chosen) hits++;
      for (let i = 0; i < bits.length; i++) bits[i]! -= Math.log2(tilted(q, chosen, { seen, expected, add: tilt[i]! }));
      for (let e = 0; e < E; e++) expected[e]! += q[e]!;
      seen[chosen]!++;
    }
  });
  const best = least(bits, tilt);
  return { hits, tilted: best.bits, weights: best.weight, placed: placedBits(held, byToken) };
}

interface Habit {
  readonly seen: Float64Array;
  readonly expected: Float64Array;
  readonly add: number;
}

/** Probability of `chosen` under q·(seen + add)/(expected + add), normalised. */
function tilted(q: Float64Array, chosen: number, { seen, expected, add }: Habit): number {
  let sum = 0;
  for (let e = 0; e < q.length; e++) sum += (q[e]! * (seen[e]! + add)) / (expected[e]! + add);
  return (q[chosen]! * (seen[chosen]! + add)) / (expected[chosen]! + add) / sum;
}

/** Code length of q(e|v) tilted by the position bucket: seen and expected choices of the other sequences there. */
function placedBits({ probe, choices, tables: { position }, each }: HeldOut, byToken: Float64Array): number {
  const E = probe.experts;
  const [expected, tilt] = [new Float64Array(position.counts.length), new Float64Array(position.counts.length)];
  const add = (start: number, end: number, by: number): void => {
    for (let n = start; n < end; n++) for (let e = 0, to = position.cell[n]! * E; e < E; e++) expected[to + e]! += by * byToken[n * E + e]!;
  };
  each([], (start, end) => add(start, end, 1));
  let bits = 0;
  each(['position'], (start, end) => {
    add(start, end, -1);
    let own = 0; // a sum captured by a closure is boxed at every step
    for (let i = 0; i < tilt.length; i++) tilt[i] = (position.counts[i]! + TILT) / (expected[i]! + TILT);
    for (let n = start; n < end; n++) {
      const at = position.cell[n]! * E;
      let sum = 0;
      for (let e = 0; e < E; e++) sum += byToken[n * E + e]! * tilt[at + e]!;
      own -= Math.log2((byToken[n * E + choices[n]!]! * tilt[at + choices[n]!]!) / sum);
    }
    add(start, end, 1);
    bits += own;
  });
  return bits;
}
