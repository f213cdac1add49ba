/** Choosing the next token from logits.   V vocabulary. */

export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Only the k most likely; 0 is all. */
  readonly topK: number;
  /** The fewest most likely tokens whose probabilities reach this; 1 is all. */
  readonly topP: number;
  /** Logits of ids that were read or written are divided by this where positive, multiplied where negative (CTRL, arXiv 1909.05858); 1 is none. */
  readonly repetitionPenalty?: number;
}
export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1 };

/** The logits after the penalty on ids seen before; the same array where there is none. */
export function penalised(logits: Float32Array, seen: Iterable<number>, { repetitionPenalty: penalty = 1 }: Sampling): Float32Array {
  if (penalty === 1) return logits;
  const y = logits.slice();
  for (const id of new Set(seen)) if (id < y.length) y[id] = y[id]! > 0 ? y[id]! / penalty : y[id]! * penalty;
  return y;
}

/** What the choice of a next token needs of a reading. */
export interface Choosable {
  readonly best: number;
  logits(): Float32Array;
}

/** The next token. Greedy decoding looks at the logits only when the likeliest token may not appear, or something is penalised. */
export function choose(
  read: Choosable,
  sampling: Sampling,
  { allowed, seen, uniform }: { readonly allowed: (id: number) => boolean; readonly seen: readonly number[]; readonly uniform: number },
): number {
  if (sampling.temperature === 0 && (sampling.repetitionPenalty ?? 1) === 1 && allowed(read.best)) return read.best;
  return draw(distribution(penalised(read.logits(), seen, sampling), sampling, allowed), uniform);
}

/** Probabilities [V] that sampling draws from: after temperature, top-k and top-p; `allowed` masks ids that must never appear. */
export function distribution(
  logits: Float32Array,
  { temperature, topK, topP }: Sampling,
  allowed: (id: number) => boolean,
): Map<number, number> {
  const ids = Array.from(logits.keys()).filter((id) => allowed(id) && !Number.isNaN(logits[id]!));
  // Ties go to the lower id, so that greedy decoding is a function of the logits.
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (temperature === 0) return new Map(ids.slice(0, 1).map((id) => [id, 1]));
  const kept = topK > 0 ? ids.slice(0, topK) : ids;
  const top = logits[kept[0]!]!;
  const weights = kept.map((id) => Math.exp((logits[id]! - top) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  const nucleus: [number, number][] = [];
  let mass = 0;
  for (const [i, id] of kept.entries()) {
    nucleus.push([id, weights[i]!]);
    mass += weights[i]!;
    if (mass >= topP * total) break;
  }
  return new Map(nucleus.map(([id, w]) => [id, w / mass]));
}

/** Draws an id with a uniform number in [0, 1). */
export function draw(probabilities: ReadonlyMap<number, number>, uniform: number): number {
  let [last, mass] = [-1, 0];
  for (const [id, p] of probabilities) {
    last = id;
    mass += p;
    if (uniform < mass) return id;
  }
  return last;
}
