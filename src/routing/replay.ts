/** Replays routes through experts of limited capacity: all first choices in priority order, then all second choices. */
import type { Rng } from '../base/index.ts';
import type { LayerRecord, Span } from './record.ts';

export interface Replay {
  readonly experts: number;
  readonly topK: number;
  readonly capacity: number;
}

/** Marks in `kept` which slots of the span find room when its tokens come in the order of `priority` (rows). */
export function fill(chosen: Int32Array, kept: Uint8Array, priority: Int32Array, { experts, topK, capacity }: Replay): void {
  const load = new Int32Array(experts);
  for (let rank = 0; rank < topK; rank++)
    for (const row of priority) {
      const slot = row * topK + rank;
      kept[slot] = load[chosen[slot]!]!++ < capacity ? 1 : 0;
    }
}

/** [N·K] which slots are kept when tokens come in their order in the group. */
export function replayInOrder(chosen: Int32Array, spans: readonly Span[], how: Replay): Uint8Array {
  const kept = new Uint8Array(chosen.length);
  for (const span of spans) fill(chosen, kept, rowsOf(span), how);
  return kept;
}

/** [N·K] the same with the tokens of each group in random order: what is left of a drop curve when the order decides nothing. */
export function replayAtRandom(chosen: Int32Array, spans: readonly Span[], how: Replay, random: Rng): Uint8Array {
  const kept = new Uint8Array(chosen.length);
  spans.forEach((span, g) => fill(chosen, kept, shuffled(rowsOf(span), random.at('group', g)), how));
  return kept;
}

/** The layer with the routes it took, at another capacity. */
export const atCapacity = (layer: LayerRecord, spans: readonly Span[], how: Replay): LayerRecord => ({
  ...layer,
  capacity: how.capacity,
  kept: replayInOrder(layer.chosen, spans, how),
});

const rowsOf = ({ start, end }: Span): Int32Array => Int32Array.from({ length: end - start }, (_, i) => start + i);

/** Fisher–Yates in place. */
function shuffled(rows: Int32Array, random: Rng): Int32Array {
  for (let i = rows.length - 1; i > 0; i--) {
    const j = random.below(i + 1, i);
    [rows[i], rows[j]] = [rows[j]!, rows[i]!];
  }
  return rows;
}

/**
 * The capacity factor at which drops begin: largest load of an expert in any group × E ÷ (T·K).
 * At or above it nothing is dropped.
 */
export function lossFreeFactor(chosen: Int32Array, spans: readonly Span[], { experts, topK }: Omit<Replay, 'capacity'>): number {
  let most = 0;
  for (const { start, end } of spans) {
    const load = new Int32Array(experts);
    for (let slot = start * topK; slot < end * topK; slot++) load[chosen[slot]!]!++;
    most = Math.max(most, (Math.max(...load) * experts) / ((end - start) * topK));
  }
  return most;
}
