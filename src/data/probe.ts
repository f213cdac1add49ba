/** Which pieces of documents a probe reads: one piece a sequence, as many different documents as there are. */
import type { Rng } from '../base/index.ts';

export interface Candidate {
  readonly targets: Int32Array;
  readonly domain: number;
  /** Resembles an earlier document. */
  readonly copy: boolean;
}

/**
 * Up to `most` slices of at most `length` targets. First the beginnings of documents that fill a row, in random order; then their second
 * rows, third, …; then what is shorter than a row, longest first. Near-duplicates come last of all: sequences should be independent.
 */
export function chooseSlices(
  documents: readonly Candidate[],
  { length, most, random }: { readonly length: number; readonly most: number; readonly random: Rng },
): Omit<Candidate, 'copy'>[] {
  const slices = documents.flatMap(({ targets, domain, copy }, d) =>
    Array.from({ length: Math.ceil(targets.length / length) }, (_, k) => ({
      domain,
      copy: Number(copy),
      targets: targets.subarray(k * length, (k + 1) * length),
      turn: k,
      draw: random.u32(d),
    })),
  );
  return slices.sort((a, b) => a.copy - b.copy || b.targets.length - a.targets.length || a.turn - b.turn || a.draw - b.draw).slice(0, most);
}
