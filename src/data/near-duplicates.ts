/** Near-duplicate documents, so that copies stay on one side of a split: min-wise hashing of character shingles. */
import { mix32 } from '../base/index.ts';

/** Length of a shingle in UTF-16 units: long enough that two documents seldom share one by chance. */
const SHINGLE = 16;
/** One-permutation min-hash (Li, Owen, Zhang 2012): each shingle falls in one bin, each bin keeps its least hash. */
const BINS = 64;
/** Documents that agree in a whole band of bins are compared: at resemblance ½ that finds 1 − (1 − ½⁴)^16 = 64 %, at 0.8 all but 2 in 10,000. */
const BAND = 4;
/** Share of equal bins (an estimate of the Jaccard resemblance of the shingle sets) from which two documents count as near-duplicates. */
const ALIKE = 0.5;
const EMPTY = 0xffffffff;

const FACTOR = 0x01000193;
const LEAVING = Array.from({ length: SHINGLE }).reduce<number>((x) => Math.imul(x, FACTOR), 1);

/** Sketch of a text: the least hash of each bin. */
export function sketch(text: string): Uint32Array {
  const bins = new Uint32Array(BINS).fill(EMPTY);
  let rolling = 0;
  for (let i = 0; i < text.length; i++) {
    rolling = (Math.imul(rolling, FACTOR) + text.charCodeAt(i) + 1) | 0;
    if (i >= SHINGLE) rolling = (rolling - Math.imul(text.charCodeAt(i - SHINGLE) + 1, LEAVING)) | 0;
    if (i < SHINGLE - 1 && i < text.length - 1) continue;
    const hash = mix32(rolling);
    const bin = hash % BINS;
    if (hash < bins[bin]!) bins[bin] = hash;
  }
  return bins;
}

/** Cluster of each document: the number of its first member. Near-duplicates of near-duplicates are one cluster. */
export function clusters(sketches: readonly Uint32Array[]): Int32Array {
  const parent = Int32Array.from(sketches, (_, i) => i);
  const root = (i: number): number => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]!]!;
    return i;
  };
  for (let band = 0; band < BINS / BAND; band++) {
    const seen = new Map<string, number[]>();
    sketches.forEach((s, i) => {
      const bins = s.subarray(band * BAND, (band + 1) * BAND);
      if (bins.every((b) => b === EMPTY)) return;
      const key = bins.join();
      const others = seen.get(key);
      if (!others) return void seen.set(key, [i]);
      const [a, b] = [root(i), others.find((j) => resemblance(sketches[i]!, sketches[j]!) >= ALIKE)];
      if (b === undefined) return void others.push(i);
      // The smaller number leads, so that a cluster is called by its first member.
      parent[Math.max(a, root(b))] = Math.min(a, root(b));
    });
  }
  return parent.map((_, i) => root(i));
}

/** Share of equal bins among those that either document fills. */
export function resemblance(a: Uint32Array, b: Uint32Array): number {
  let [filled, equal] = [0, 0];
  for (let i = 0; i < BINS; i++) {
    if (a[i] === EMPTY && b[i] === EMPTY) continue;
    filled++;
    if (a[i] === b[i]) equal++;
  }
  return filled === 0 ? 0 : equal / filled;
}
