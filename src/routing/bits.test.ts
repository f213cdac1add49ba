import { describe, expect, test } from 'vitest';
import { contextsOf, gains, WEIGHTS, type Gains, type Weights } from './bits.ts';
import { NONE, onProbe, probeOf, type Probe } from './probe.ts';
import { choicesOfRank } from './record.ts';
import { syntheticText } from './synthetic-text.ts';
import { pairKey, randomRouter, recordOf, tableRouter, type Router } from './synthetic.ts';

const SHAPE = { topK: 1, capacityFactor: 2, sequencesPerGroup: 1, priority: 'in order' } as const;
const drawn = syntheticText({ domains: 2, sequences: 4, length: 20, seed: 5 });
const small = { ...drawn, tokens: drawn.tokens.map((id) => id % 9) }; // 8 sequences × 20 tokens of few ids
const record = recordOf(small, tableRouter(pairKey(small), { experts: 4, seed: 2 }), { ...SHAPE, experts: 4 });
const probe = probeOf(record);
const choices = onProbe(probe, choicesOfRank(record, record.layers[0]!, 0));
const ONE: Weights = { token: [4], domain: [1], position: [16], tokenDomain: [0.25], previous: [1], tilt: [4] };

type Prediction = (n: number, e: number) => number;

/** The definitions, count by count: q(e|same) from the other sequences, backing off to `prior` with weight a. */
function predictions({ token, domain, position, previous, sequence, experts }: Probe, choice: Int32Array, all: readonly number[]) {
  const back =
    (alike: (m: number, n: number) => boolean, prior: Prediction, a: number): Prediction =>
    (n, e) => {
      const others = all.filter((m) => sequence[m] !== sequence[n] && alike(m, n));
      return (others.filter((m) => choice[m] === e).length + a * prior(n, e)) / (others.length + a);
    };
  const same = (label: Int32Array) => (m: number, n: number) => label[m] === label[n];
  const bucket = position.map((p) => Math.floor(p / 16));
  const q0 = back(
    () => true,
    () => 1 / experts,
    experts / 2,
  ); // ½ added to each expert
  const qv = back(same(token), q0, ONE.token[0]!);
  return {
    bucket,
    q0,
    qv,
    qd: back(same(domain), q0, ONE.domain[0]!),
    qp: back(same(bucket), q0, ONE.position[0]!),
    qvd: back((m, n) => same(token)(m, n) && same(domain)(m, n), qv, ONE.tokenDomain[0]!),
    qvu: back((m, n) => same(token)(m, n) && same(previous)(m, n), qv, ONE.previous[0]!),
  };
}

function byDefinition(probe: Probe, choice: Int32Array, without: number) {
  const { sequence, position, block, experts } = probe;
  const all = [...sequence.keys()].filter((n) => block[sequence[n]!] !== without);
  const { bucket, q0, qv, qd, qp, qvd, qvu } = predictions(probe, choice, all);
  const tilted =
    (q: Prediction, where: (n: number) => readonly number[], c: number): Prediction =>
    (n, e) => {
      const weights = Array.from({ length: experts }, (_, f) => {
        const seen = where(n).filter((m) => choice[m] === f).length;
        return (q(n, f) * (seen + c)) / (where(n).reduce((sum, m) => sum + q(m, f), 0) + c);
      });
      return weights[e]! / weights.reduce((a, b) => a + b, 0);
    };
  const bits = (q: Prediction): number => all.reduce((sum, n) => sum - Math.log2(q(n, choice[n]!)), 0);
  const earlier = (n: number): number[] => all.filter((m) => sequence[m] === sequence[n] && position[m]! < position[n]!);
  const beside = (n: number): number[] => all.filter((m) => sequence[m] !== sequence[n] && bucket[m] === bucket[n]);
  const [base, byToken] = [bits(q0), bits(qv)];
  const context = Math.min(bits(tilted(qvu, earlier, ONE.tilt[0]!)), bits(qvu), byToken);
  const placed = Math.min(bits(tilted(qv, beside, 4)), byToken);
  return {
    token: (base - byToken) / base,
    domain: (base - bits(qd)) / base,
    position: (base - bits(qp)) / base,
    domainGivenToken: (byToken - bits(qvd)) / base,
    context: (2 * byToken - context - placed) / base,
    bits: base / all.length,
  };
}

describe('held-out bits', () => {
  test.each([NONE, 1])('equal their definitions counted from scratch, without block %i', (without) => {
    const fast = gains(probe, contextsOf(probe), choices, { weights: ONE, without });
    const slow = byDefinition(probe, choices, without);
    for (const key of Object.keys(slow) as (keyof typeof slow)[]) expect(Math.abs(fast[key] - slow[key]), key).toBeLessThan(1e-12);
  });

  test('the weights of least code length are taken', () => {
    const best = gains(probe, contextsOf(probe), choices, { weights: WEIGHTS, without: NONE });
    const given = WEIGHTS.token.map(
      (a) => gains(probe, contextsOf(probe), choices, { weights: { ...WEIGHTS, token: [a] }, without: NONE }).token,
    );
    expect(best.token).toBe(Math.max(...given));
    expect(best.weights.token).toEqual([WEIGHTS.token[given.indexOf(best.token)]]);
  });

  test('renaming experts changes nothing', () => {
    const of = (choice: Int32Array): Gains => gains(probe, contextsOf(probe), choice, { weights: WEIGHTS, without: NONE });
    const [{ weights, ...given }, { weights: same, ...renamed }] = [of(choices), of(choices.map((e) => [2, 0, 3, 1][e]!))];
    expect(same).toEqual(weights);
    for (const key of Object.keys(given) as (keyof typeof given)[])
      if (key !== 'accuracy') expect(renamed[key]).toBeCloseTo(given[key], 10);
  });
});

describe('gains of known routers (9 domains × 32 sequences × 256 tokens)', () => {
  const text = syntheticText({ domains: 9, sequences: 32, length: 256, seed: 1 });
  const how = { experts: 16, seed: 1 };
  const full = probeOf({ ...text, experts: 16, topK: 1, heldOut: [], group: text.sequence, layers: [], step: 0, share: 1 });
  const contexts = contextsOf(full);
  const gainsOf = (router: Router): Gains => {
    const routed = recordOf(text, router, { ...SHAPE, experts: 16 });
    return gains(full, contexts, onProbe(full, choicesOfRank(routed, routed.layers[0]!, 0)), { weights: WEIGHTS, without: NONE });
  };

  test('a token table is known by its token: gain.token ≥ 0.97, and nothing else adds to it', () => {
    const { token, context, domainGivenToken, accuracy } = gainsOf(tableRouter((n) => text.tokens[n]!, how));
    expect(token).toBeGreaterThan(0.97);
    expect(context).toBeLessThan(0.01);
    expect(domainGivenToken).toBeLessThan(0.01);
    expect(accuracy).toBeGreaterThan(0.97);
  });

  test('a random router is known by nothing: |gain| < 0.01', () => {
    const { token, domain, position, context } = gainsOf(randomRouter(how));
    for (const gain of [token, domain, position, context]) expect(Math.abs(gain)).toBeLessThan(0.01);
  });

  test('a position table is known by its position, a domain table by its domain', () => {
    expect(gainsOf(tableRouter((n) => Math.floor(text.position[n]! / 16), how)).position).toBeGreaterThan(0.97);
    expect(gainsOf(tableRouter((n) => text.domain[n]!, how)).domain).toBeGreaterThan(0.97);
  });
});
