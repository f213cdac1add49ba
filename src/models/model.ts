/** What a model family is to those who train, run or store it. */
import type { Axis, ParamTree, Tensor } from '../nn/index.ts';
import type { DecoderConfig, DecoderInput, DecoderOutput } from './decoder.ts';

/** Where a parameter lives in a Hugging Face checkpoint; `transposed`: stored [out,in] where we hold [in,out]. */
export interface ForeignName {
  readonly name: string;
  readonly transposed: boolean;
}

export interface Model {
  readonly family: string;
  readonly config: DecoderConfig;
  readonly params: ParamTree;
  /** Parameters by path, as `params` flattens. */
  readonly list: readonly {
    readonly path: string;
    readonly shape: readonly number[];
    readonly axes: readonly Axis[];
    readonly foreign: ForeignName;
  }[];
  /** Final hidden states and router losses; `weight` gives a parameter's tensor by path. */
  apply(weight: (path: string) => Tensor, input: DecoderInput): DecoderOutput;
  /** Indices of the MoE layers. */
  readonly moeLayers: readonly number[];
  /** Weights, and those that multiply each token (head included, embedding not). */
  readonly counts: { readonly total: number; readonly active: number; readonly activeInBlocks: number };
  /** The config.json of a Hugging Face folder. */
  foreignConfig(): Readonly<Record<string, unknown>>;
}
