/** Runs a probe set through one checkpoint and keeps the whole routing record.   B rows, S tokens a row, N tokens. */
import {
  capacityOf,
  type Buffers,
  type Evaluated,
  type Executor,
  groupCount,
  inBatches,
  interleaved,
  type Mode,
  type Model,
  openEvaluator,
  pickRows,
  type Rows,
} from '../infer/index.ts';
import type { LayerRecord, RoutingRecord } from './record.ts';

export interface ProbeSet {
  /** Rows of one document each; rows that hold padding are left out. */
  readonly rows: Rows;
  readonly length: number;
  readonly domains: readonly string[];
  /** Those never trained on: they get routing groups of their own. */
  readonly heldOut: readonly string[];
  /** Rows that share a batch, as in training. */
  readonly batch: number;
}

export interface Prober {
  /** Slots per expert and group in training, for groups of the probe's size. */
  readonly trainCapacity: number;
  record(weights: Buffers, at: { readonly step: number; readonly share: number }): Promise<RoutingRecord>;
  close(): void;
}

/** Routes with the capacity factor of `mode`. Groups mix the trained domains as training does; a last batch that is not full is left out. */
export async function openProber(model: Model, executor: Executor, set: ProbeSet, mode: Mode): Promise<Prober> {
  const { length, batch } = set;
  const evaluator = await openEvaluator(model, executor, { rows: batch, length, mode, padded: false, losses: false, routing: true });
  const batches = probeBatches(set);
  const tokens = batch * length;
  const group = tokens / groupCount(tokens, model.config);
  return {
    trainCapacity: capacityOf(group, 'train', model.config),
    close: () => evaluator.close(),
    async record(weights, { step, share }) {
      const results: Evaluated[] = [];
      for (const rows of batches) results.push(await evaluator.run(weights, rows));
      const n = batches.length * tokens;
      const joined = <T extends Int32Array | Float32Array | Uint8Array>(to: T, parts: readonly ArrayLike<number>[]): T => {
        parts.reduce((at, part) => (to.set(part, at), at + part.length), 0);
        return to;
      };
      const slots = n * model.config.topK;
      const layers = model.moeLayers.map((layer, l): LayerRecord => ({
        layer,
        chosen: joined(
          new Int32Array(slots),
          results.map((r) => r.layers[l]!.chosen),
        ),
        gates: joined(
          new Float32Array(slots),
          results.map((r) => r.layers[l]!.gates),
        ),
        kept: joined(
          new Uint8Array(slots),
          results.map((r) => r.layers[l]!.kept),
        ),
        capacity: capacityOf(group, mode, model.config),
      }));
      return {
        experts: model.config.experts,
        topK: model.config.topK,
        domains: set.domains,
        heldOut: set.heldOut,
        tokens: joined(
          new Int32Array(n),
          batches.map((b) => b.tokens),
        ),
        sequence: Int32Array.from({ length: n }, (_, i) => Math.floor(i / length)),
        position: Int32Array.from({ length: n }, (_, i) => i % length),
        domain: joined(
          new Int32Array(n),
          batches.map((b) => b.domains),
        ),
        group: Int32Array.from({ length: n }, (_, i) => Math.floor(i / group)),
        layers,
        step,
        share,
      };
    },
  };
}

function probeBatches({ rows, length, domains, heldOut, batch }: ProbeSet): Rows[] {
  const full = Array.from({ length: rows.tokens.length / length }, (_, r) => r).filter((r) => rows.segments[(r + 1) * length - 1] !== 0);
  const side = (held: boolean): Rows[] => {
    const own = pickRows(
      rows,
      full.filter((r) => heldOut.includes(domains[rows.domains[r * length]!]!) === held),
      length,
    );
    const ordered = pickRows(own, interleaved(own, length), length);
    return inBatches(ordered, { rows: batch, length }).filter((b) => b.weights.every((w) => w > 0));
  };
  return [...side(false), ...side(true)];
}
