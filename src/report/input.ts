/** What a report is made from: plain values, read from a run folder by whoever knows its layout. */
import type { Baselines } from './charts/loss.ts';
import type { LayerStep } from './charts/load-over-time.ts';
import type { DomainLoss } from './charts/domain-loss.ts';
import type { Findings } from '../routing/index.ts';

export type Json = string | number | boolean | null | undefined | readonly Json[] | { readonly [key: string]: Json };

export interface ReportInput {
  /** `dir` as the user would type it after a verb. */
  readonly run: { readonly id: string; readonly dir: string };
  readonly recipe: Json;
  readonly environment: Json;
  /** Weights in all, and weights that multiply each token. */
  readonly params: { readonly total: number; readonly active: number };
  /** Steps and tokens trained so far, wall time of training in seconds. */
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  /** One a step; `tokens` seen so far, cross-entropy in nats per token. */
  readonly metrics: readonly { readonly step: number; readonly tokens: number; readonly crossEntropy: number }[];
  readonly validation: readonly (DomainLoss & { readonly tokens: number; readonly loss: number })[];
  readonly baselines: Baselines;
  /** Absent where nothing is routed: a dense model, or no probe yet. */
  readonly findings?: Findings;
  /** Sums of training steps, thinned to a few hundred. */
  readonly stepRouting: readonly {
    readonly step: number;
    readonly layers: readonly (Omit<LayerStep, 'step'> & { readonly layer: number })[];
  }[];
  /** Text of a token id. */
  readonly pieceOf: (id: number) => string;
  readonly samples: readonly { readonly prompt: string; readonly text: string }[];
  readonly data: readonly DataRow[];
  /** How to redo each number. */
  readonly commands: readonly { readonly what: string; readonly command: string }[];
}

export interface DataRow {
  readonly domain: string;
  readonly origin: string;
  readonly licence: string;
  /** Never trained on. */
  readonly heldOut: boolean;
  readonly documents: number;
  readonly bytes: number;
  /** By side of the split: train, validation, probe. */
  readonly tokens: Readonly<Record<string, number>>;
}
