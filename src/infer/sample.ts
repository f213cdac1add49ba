/** Choosing the next token from logits.   V vocabulary. */

export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Only the k most likely; 0 is all. */
  readonly topK: number;
  /** The fewest most likely tokens whose probabilities reach this; 1 is all. */
  readonly topP: number;
}
export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1 };

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
