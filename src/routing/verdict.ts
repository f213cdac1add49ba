/** Verdicts: what may be said of one layer, and of the model where its layers agree. */

/** `mixed`: enough data, the answer lies between. `undecided`: too little data. `inherited`: true from the start, nothing was learned. */
export type Verdict = 'holds' | 'fails' | 'mixed' | 'undecided' | 'inherited';

export interface Judgement {
  readonly verdict: Verdict;
  /** The condition that decided, in words. */
  readonly reason: string;
}

/** The word for the model: the layers' own where they agree, else `layers differ`. */
export function together(layers: readonly Verdict[]): Verdict | 'layers differ' {
  const [first = 'undecided', ...rest] = layers;
  return rest.every((verdict) => verdict === first) ? first : 'layers differ';
}
