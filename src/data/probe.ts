/** Which pieces of documents a probe reads: one piece a sequence, as many different documents as there are. */
import type { Rng } from '../base/index.ts';

export interface Slice {
  readonly targets: Int32Array;
  readonly domain: number;
}

/**
 * Up to `most` slices of at most `length` targets. First the beginnings of documents that fill a row, in random order; then their second
 * rows, third, …; then what is shorter than a row, longest first.
 */
export function chooseSlices(documents: readonly Slice[], { length, most, random }: { readonly length: number; readonly most: number; readonly random: Rng }): Slice[] {
  const slices = documents.flatMap(({ targets, domain }, d) =>
    Array.from({ length: Math.ceil(targets.length / length) }, (_, k) => ({
      domain,
      targets: targets.subarray(k * length, (k + 1) * length),
      turn: k,
      draw: random.u32(d),
    })));
  return slices
    .sort((a, b) => b.targets.length - a.targets.length || a.turn - b.turn || a.draw - b.draw)
    .slice(0, most);
}
