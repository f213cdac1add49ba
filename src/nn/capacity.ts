/** Routing groups and expert capacity, in the two dialects of the reference (2.6).   T tokens, E experts, K choices. */
import { UserError, EXIT } from '../base/index.ts';

export const DIALECTS = ['jax', 'torch'] as const;
export type Dialect = (typeof DIALECTS)[number];

export interface CapacityConfig {
  readonly experts: number;
  readonly topK: number;
  /** jax: groups, capacity without K. torch: one group, capacity with K, even. */
  readonly dialect: Dialect;
  /** Tokens of a routing group at most (jax). */
  readonly groupSize: number;
  /** At least E groups, and a multiple of E, as the reference arranges them for its expert partitions (jax). */
  readonly referenceGroups: boolean;
  readonly capacityFactorTrain: number;
  readonly capacityFactorEval: number;
  readonly minCapacity: number;
}
export type Mode = 'train' | 'eval';

/**
 * Number of routing groups for that many tokens; `replicas` is how often the reference's data axis holds each expert, which raises the least
 * number of groups (jax). Throws UserError E_ROUTING_GROUPS when they cannot be cut into equal groups.
 */
export function groupCount(tokens: number, c: CapacityConfig, replicas = 1): number {
  if (c.dialect === 'torch') return 1;
  const multiple = c.referenceGroups ? c.experts * replicas : 1;
  for (let n = Math.max(Math.floor(tokens / c.groupSize), multiple, 1); n <= tokens; n++)
    if (tokens % n === 0 && n % multiple === 0) return n;
  throw new UserError('E_ROUTING_GROUPS', EXIT.usage, {
    message: `${tokens} tokens cannot be cut into equal routing groups of at most ${c.groupSize} in a multiple of ${multiple}`,
    place: 'model.groupSize',
  });
}

/** Slots of each expert in a group of `tokens`. */
export function capacityOf(tokens: number, mode: Mode, c: CapacityConfig): number {
  const factor = mode === 'train' ? c.capacityFactorTrain : c.capacityFactorEval;
  if (c.dialect === 'jax') return Math.max(roundHalfEven((factor * tokens) / c.experts), c.minCapacity);
  const slots = Math.floor((c.topK * factor * tokens) / c.experts);
  return Math.max(slots + (slots % 2), c.minCapacity);
}

function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** Zero rows or columns that make rows × length divisible by E: whichever needs fewer zeros, columns on a tie (jax, 2.6). */
export function referencePadding(
  rows: number,
  length: number,
  { dialect, referenceGroups, experts }: CapacityConfig,
): { rows: number; columns: number } {
  const none = { rows: 0, columns: 0 };
  if (dialect === 'torch' || !referenceGroups || (rows * length) % experts === 0) return none;
  const least = (fits: (n: number) => boolean): number => Array.from({ length: experts }, (_, n) => n).find(fits)!;
  const extraRows = least((n) => ((rows + n) * length) % experts === 0);
  const extraColumns = least((n) => (rows * (length + n)) % experts === 0);
  return extraRows * length < rows * extraColumns ? { ...none, rows: extraRows } : { ...none, columns: extraColumns };
}
