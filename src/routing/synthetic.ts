/** Synthetic routers with known answers: what every estimator and verdict is tested on, and an example of records from elsewhere. */
import { rng, type Rng } from '../base/index.ts';
import type { LayerRecord, RoutingRecord } from './record.ts';
import { groupSpans } from './record.ts';
import { replayAtRandom, replayInOrder } from './replay.ts';
import type { Text } from './synthetic-text.ts';

/** Writes the E logits of token n. */
export type Router = (n: number, logits: Float64Array) => void;

export interface RouterSeed {
  readonly experts: number;
  readonly seed: number;
}

/** Standard deviation of an expert's own popularity, added to every logit. */
const SKEW = 0.5;

/** A table of N(0,1) by key, plus popularity · N(0,1) per expert. Tokens of equal key get equal logits. */
export function tableRouter(key: (n: number) => number, { experts, seed }: RouterSeed, popularity: number = SKEW): Router {
  const [table, skew] = [rng(seed).at('table'), popular(experts, seed, popularity)];
  const rows = new Map<number, Float64Array>();
  return (n, logits) => {
    const at = key(n);
    let row = rows.get(at);
    if (!row) rows.set(at, (row = skew.map((x, e) => x + table.normal(at * experts + e))));
    logits.set(row);
  };
}

const popular = (experts: number, seed: number, popularity: number): Float64Array =>
  Float64Array.from({ length: experts }, (_, e) => popularity * rng(seed).at('popularity').normal(e));

/** Fresh logits for every token, with the popularity of the tables of the same seed. */
export const randomRouter = ({ experts, seed }: RouterSeed): Router => {
  const [noise, skew] = [rng(seed).at('noise'), popular(experts, seed, SKEW)];
  return (n, logits) => logits.forEach((_, e) => (logits[e] = skew[e]! + noise.normal(n * experts + e)));
};

/** Tokens of share `share` are routed by `other`, the rest by `router`. */
export function replaced(router: Router, other: Router, { share, seed }: { readonly share: number; readonly seed: number }): Router {
  const coin = rng(seed).at('replaced');
  return (n, logits) => (coin.uniform(n) < share ? other : router)(n, logits);
}

/** √w·a + √(1−w)·b. */
export function mixed(a: Router, b: Router, w: number): Router {
  let other: Float64Array | undefined;
  return (n, logits) => {
    other ??= new Float64Array(logits.length);
    a(n, logits);
    b(n, other);
    for (let e = 0; e < logits.length; e++) logits[e] = Math.sqrt(w) * logits[e]! + Math.sqrt(1 - w) * other[e]!;
  };
}

/** Demand that drifts: to the logits of `router` the popularity of a few experts is added, growing with the place (0 to 1) of the token. */
export function drifting(router: Router, place: (n: number) => number, { experts, seed }: RouterSeed): Router {
  const wanted = popular(experts, seed + 1, 2);
  return (n, logits) => {
    router(n, logits);
    for (let e = 0; e < experts; e++) logits[e]! += place(n) * wanted[e]!;
  };
}

/** Key of (previous token, token); the first token of a sequence has no previous one. */
export const pairKey =
  ({ tokens, position }: Text) =>
  (n: number): number =>
    (position[n] === 0 ? 0 : tokens[n - 1]! + 1) * 2 ** 20 + tokens[n]!;

/** Features of the embeddings of `linearRouter`. */
const FEATURES = 32;

/** A linear router over √w·embedding + √(1−w)·context, the mean of the sequence so far, scaled to the length of an embedding. */
export function linearRouter({ tokens, position }: Text, w: number, { experts, seed }: RouterSeed): Router {
  const [embedding, weights, skew] = [rng(seed).at('embedding'), rng(seed).at('weights'), popular(experts, seed, SKEW)];
  const known = new Map<number, { readonly features: Float64Array; readonly logits: Float64Array }>();
  const own = (token: number) => {
    let row = known.get(token);
    if (!row) {
      const features = Float64Array.from({ length: FEATURES }, (_, f) => embedding.normal(token * FEATURES + f));
      known.set(token, (row = { features, logits: projected(features, weights, experts) }));
    }
    return row;
  };
  const sum = { features: new Float64Array(FEATURES), logits: new Float64Array(experts) }; // logits are linear, so they add up too
  return (n, logits) => {
    if (position[n] === 0) Object.values(sum).forEach((values) => values.fill(0));
    const row = own(tokens[n]!);
    for (let f = 0; f < FEATURES; f++) sum.features[f]! += row.features[f]!;
    for (let e = 0; e < experts; e++) sum.logits[e]! += row.logits[e]!;
    const scale = Math.sqrt(FEATURES) / Math.hypot(...sum.features);
    for (let e = 0; e < experts; e++) logits[e] = skew[e]! + Math.sqrt(w) * row.logits[e]! + Math.sqrt(1 - w) * scale * sum.logits[e]!;
  };
}

const projected = (x: Float64Array, weights: Rng, experts: number): Float64Array =>
  Float64Array.from(
    { length: experts },
    (_, e) => x.reduce((sum, v, f) => sum + v * weights.normal(e * x.length + f), 0) / Math.sqrt(x.length),
  );

/**
 * How token tables move in training: the version of an id's row at share t; version 0 is the one that time constants settle to.
 * `settles` after exponential times, `late` around a time, `drifts` for ever, `never` has two checkpoints alike.
 */
export type Trajectory = (id: number, t: number) => number;

export const frozen: Trajectory = () => 0;
export const never: Trajectory = (_, t) => 1 + Math.round(t * 1e6);

export function settles(constant: number, seed: number): Trajectory {
  const clock = rng(seed).at('clock');
  return (id, t) => (t >= -constant * Math.log(1 - clock.uniform(id)) ? 0 : 1);
}

export function late(time: number, seed: number): Trajectory {
  const clock = rng(seed).at('clock');
  return (id, t) => (t >= time + 0.1 * clock.normal(id) ? 0 : 1);
}

/** A share of the ids has the final map from the start. */
export function inherits(share: number, otherwise: Trajectory, seed: number): Trajectory {
  const lot = rng(seed).at('inherited');
  return (id, t) => (lot.uniform(id) < share ? 0 : otherwise(id, t));
}

/** Each id is drawn anew at a constant rate, in t or in √t: the version counts the events between now and the end. */
export function drifts({ rate, root, seed }: { readonly rate: number; readonly root: boolean; readonly seed: number }): Trajectory {
  const clock = rng(seed).at('clock');
  return (id, t) => {
    const now = root ? Math.sqrt(t) : t;
    let events = 0;
    for (let time = 1; ; events++) {
      time += Math.log(1 - clock.uniform(id * 64 + events)) / rate;
      if (time <= now) return events;
    }
  };
}

/** Token router at share t of a trajectory. */
export const tokenRouterAt = (text: Text, trajectory: Trajectory, t: number, how: RouterSeed): Router =>
  tableRouter(versioned(text, trajectory, t), how);

function versioned({ tokens }: Text, trajectory: Trajectory, t: number): (n: number) => number {
  const keys = new Map<number, number>();
  for (const id of new Set(tokens)) keys.set(id, id + 2 ** 20 * trajectory(id, t));
  return (n) => keys.get(tokens[n]!)!;
}

export interface RecordShape {
  readonly experts: number;
  readonly topK: number;
  readonly capacityFactor: number;
  /** Sequences that share capacity. */
  readonly sequencesPerGroup: number;
  readonly priority: 'in order' | { readonly random: number };
  readonly heldOut?: readonly string[];
  readonly share?: number;
}

/** One-layer record of a text routed top-K, gates by softmax, capacity ⌈factor·T·K/E⌉ of the first group's T. */
export function recordOf(text: Text, router: Router, shape: RecordShape): RoutingRecord {
  const { experts, topK, capacityFactor, sequencesPerGroup, priority, heldOut = [], share = 1 } = shape;
  const { chosen, gates } = routes(text.tokens.length, router, { experts, topK });
  const base = {
    ...text,
    experts,
    topK,
    heldOut,
    share,
    step: Math.round(share * 1000),
    group: text.sequence.map((s) => Math.floor(s / sequencesPerGroup)),
  };
  const spans = groupSpans({ ...base, layers: [] });
  const capacity = Math.ceil((capacityFactor * (spans[0]!.end - spans[0]!.start) * topK) / experts);
  const how = { experts, topK, capacity };
  const kept =
    priority === 'in order' ? replayInOrder(chosen, spans, how) : replayAtRandom(chosen, spans, how, rng(priority.random).at('synthetic'));
  const layer: LayerRecord = { layer: 0, chosen, gates, kept, capacity };
  return { ...base, layers: [layer] };
}

function routes(
  tokens: number,
  router: Router,
  { experts, topK }: { experts: number; topK: number },
): Pick<LayerRecord, 'chosen' | 'gates'> {
  const [chosen, gates] = [new Int32Array(tokens * topK), new Float32Array(tokens * topK)];
  const logits = new Float64Array(experts);
  for (let n = 0; n < tokens; n++) {
    router(n, logits);
    let sum = 0;
    for (let e = 0; e < experts; e++) sum += Math.exp(logits[e]!);
    for (let k = 0; k < topK; k++) {
      let best = 0;
      for (let e = 1; e < experts; e++) if (logits[e]! > logits[best]!) best = e;
      chosen[n * topK + k] = best;
      gates[n * topK + k] = Math.exp(logits[best]!) / sum;
      logits[best] = -Infinity;
    }
  }
  return { chosen, gates };
}
