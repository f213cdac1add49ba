/** All news of a run, in the order in which it happens: progress bar, metrics file and studio are loops over it. */

/** What one router did in one step: slots [N·K] in order of preference, over all microbatches. */
export interface LayerNews {
  readonly layer: number;
  readonly balanceLoss: number;
  readonly routerZ: number;
  readonly chosen: Int32Array;
  readonly gates: Float32Array;
  /** 1 where the slot found room. */
  readonly kept: Int32Array;
}

export type TrainEvent =
  | {
      readonly kind: 'start';
      /** First step of this session: above 0 when resumed. */
      readonly step: number;
      readonly steps: number;
      readonly params: { readonly total: number; readonly active: number };
      /** Model FLOPs of one training step (6 per active weight and token, 6·L·S·D of causal attention). */
      readonly flopsPerStep: number;
      readonly tokensPerStep: number;
      /** Bytes held by parameters, optimizer state and the step's arena. */
      readonly memory: { readonly parameters: number; readonly optimizer: number; readonly arena: number };
    }
  | {
      readonly kind: 'step';
      /** Steps done. */
      readonly step: number;
      /** Total loss, cross-entropy in nats per token; of the batch before the update. */
      readonly loss: number;
      readonly crossEntropy: number;
      readonly learningRate: number;
      /** Tokens seen so far. */
      readonly tokens: number;
      /** Wall time of this step. */
      readonly seconds: number;
      readonly layers: readonly LayerNews[];
    }
  | {
      readonly kind: 'validation';
      readonly step: number;
      /** Nats per token over all validation targets, and per domain. */
      readonly loss: number;
      readonly byDomain: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'saved'; readonly step: number; readonly permanent: boolean }
  | { readonly kind: 'stopped'; readonly step: number; readonly reason: 'signal' | 'time' }
  | { readonly kind: 'finished'; readonly step: number };
