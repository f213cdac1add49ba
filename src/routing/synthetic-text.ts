/** Synthetic text with what matters to routing metrics: Zipf ids, ids of one domain, bursts inside a sequence, repeating bigrams. */
import { rng, type Rng } from '../base/index.ts';

/** The text half of a routing record. */
export interface Text {
  readonly domains: readonly string[];
  readonly tokens: Int32Array;
  readonly sequence: Int32Array;
  readonly position: Int32Array;
  readonly domain: Int32Array;
}

export interface TextShape {
  readonly domains: number;
  /** Sequences of each domain. */
  readonly sequences: number;
  /** Tokens of each sequence. */
  readonly length: number;
  readonly seed: number;
}

/** Ids that all domains share, and ids of each domain alone. */
const SHARED = 600;
const OWN = 200;
/** Chances that a token repeats one of its sequence, follows the token before by habit, or is an id of its domain. */
const REPEATED = 0.25;
const BY_HABIT = 0.25;
const OF_DOMAIN = 0.2;

/** Sequences of the domains take turns, as in a shuffled probe set. Pure in its arguments. */
export function syntheticText({ domains, sequences, length, seed }: TextShape): Text {
  const count = domains * sequences;
  const n = count * length;
  const text = { tokens: new Int32Array(n), sequence: new Int32Array(n), position: new Int32Array(n), domain: new Int32Array(n) };
  const random = rng(seed).at('synthetic-text');
  for (let s = 0; s < count; s++) {
    text.tokens.set(sequenceOf({ domain: s % domains, length, random: random.at('sequence', s) }), s * length);
    for (let p = 0; p < length; p++) {
      text.sequence[s * length + p] = s;
      text.position[s * length + p] = p;
      text.domain[s * length + p] = s % domains;
    }
  }
  return { domains: Array.from({ length: domains }, (_, d) => `domain-${d}`), ...text };
}

function sequenceOf({ domain, length, random }: { domain: number; length: number; random: Rng }): Int32Array {
  const tokens = new Int32Array(length);
  for (let p = 0; p < length; p++) {
    const [kind, draw] = [random.uniform(2 * p), random.uniform(2 * p + 1)];
    if (p > 0 && kind < REPEATED) tokens[p] = tokens[Math.floor(draw * p)]!;
    else if (p > 0 && kind < REPEATED + BY_HABIT) tokens[p] = follower(tokens[p - 1]!, Math.floor(draw * 3));
    else if (kind > 1 - OF_DOMAIN) tokens[p] = SHARED + domain * OWN + zipf(draw, OWN);
    else tokens[p] = zipf(draw, SHARED);
  }
  return tokens;
}

const habits = rng(0).at('synthetic-text/habits');
const follower = (token: number, which: number): number => zipf(habits.uniform(token * 3 + which), SHARED);

/** Zipf's law with exponent 1 by the inverse of its integral: rank ≈ n^u. */
const zipf = (uniform: number, n: number): number => Math.min(n - 1, Math.floor((n + 1) ** uniform) - 1);
