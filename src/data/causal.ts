/** Causal language modelling: every token of a document is a target (reference 6.5, without its overwritten row ends). */

/** One training example before packing: `weights[i]` is 1 where `targets[i]` counts in the loss. */
export interface Example {
  readonly targets: Int32Array;
  readonly weights: Uint8Array;
}

/** A document's ids and its end. */
export function causal(ids: Int32Array, eos: number): Example {
  const targets = new Int32Array(ids.length + 1);
  targets.set(ids);
  targets[ids.length] = eos;
  return { targets, weights: new Uint8Array(targets.length).fill(1) };
}
