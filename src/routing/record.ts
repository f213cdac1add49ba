/** The routing record: how one checkpoint routed a probe set.   N tokens, K choices a token, E experts, T tokens of a group. */
import { EXIT, UserError } from '../base/index.ts';

/** All that is known of how one checkpoint routed a probe set. Rows are tokens; the rows of one group stand together, in token order. */
export interface RoutingRecord {
  readonly experts: number;
  readonly topK: number;
  readonly domains: readonly string[];
  /** Those of `domains` that were never trained on. */
  readonly heldOut: readonly string[];
  /** [N] token id at the decoder's input. */
  readonly tokens: Int32Array;
  /** [N] sequence number; a sequence lies in one domain. */
  readonly sequence: Int32Array;
  /** [N] position in the sequence. */
  readonly position: Int32Array;
  /** [N] index into `domains`. */
  readonly domain: Int32Array;
  /** [N] routing group: the tokens that share the experts' capacity. */
  readonly group: Int32Array;
  readonly layers: readonly LayerRecord[];
  /** Training step of the checkpoint. */
  readonly step: number;
  /** Share of the training tokens seen, 0 to 1. */
  readonly share: number;
}

export interface LayerRecord {
  /** Index of the layer in the model. */
  readonly layer: number;
  /** [N·K] experts in order of preference. */
  readonly chosen: Int32Array;
  /** [N·K] gate values. */
  readonly gates: Float32Array;
  /** [N·K] 1 where the slot found room in its expert. */
  readonly kept: Uint8Array;
  /** Slots per expert and group. */
  readonly capacity: number;
}

const fault = (message: string, place: string): UserError =>
  new UserError('E_ROUTING_RECORD', EXIT.damaged, { message, place, hint: 'record the probe again' });

/** Throws UserError E_ROUTING_RECORD where lengths, expert ids, domains, sequences or groups contradict each other. */
export function checkRecord(record: RoutingRecord): void {
  const n = record.tokens.length;
  for (const name of ['sequence', 'position', 'domain', 'group'] as const)
    if (record[name].length !== n) throw fault(`${record[name].length} values for ${n} tokens`, name);
  for (const name of record.heldOut)
    if (!record.domains.includes(name)) throw fault(`unknown domain ${name}; known: ${record.domains.join(', ')}`, 'heldOut');
  for (const d of record.domain) if (record.domains[d] === undefined) throw fault(`domain ${d} of ${record.domains.length}`, 'domain');
  checkRuns(record);
  for (const layer of record.layers) checkLayer(record, layer);
}

/** A sequence lies in one domain, and the rows of a group are contiguous. */
function checkRuns({ sequence, domain, group }: RoutingRecord): void {
  const home = new Map<number, number>();
  const closed = new Set<number>();
  sequence.forEach((s, row) => {
    if ((home.get(s) ?? domain[row]!) !== domain[row]!) throw fault(`sequence ${s} lies in two domains`, `row ${row}`);
    home.set(s, domain[row]!);
    if (row > 0 && group[row] !== group[row - 1]) closed.add(group[row - 1]!);
    if (closed.has(group[row]!)) throw fault(`the rows of group ${group[row]} are not contiguous`, `row ${row}`);
  });
}

function checkLayer({ tokens, topK, experts }: RoutingRecord, { layer, chosen, gates, kept }: LayerRecord): void {
  const slots = tokens.length * topK;
  for (const [name, values] of Object.entries({ chosen, gates, kept }))
    if (values.length !== slots) throw fault(`${values.length} values for ${slots} slots`, `layer ${layer}, ${name}`);
  const bad = chosen.findIndex((e) => e < 0 || e >= experts);
  if (bad >= 0) throw fault(`expert ${chosen[bad]} of ${experts}`, `layer ${layer}, slot ${bad}`);
}

/** [N] the expert of that choice rank (0: first choice) of every row. */
export function choicesOfRank({ tokens, topK }: RoutingRecord, { chosen }: LayerRecord, rank: number): Int32Array {
  return Int32Array.from(tokens, (_, row) => chosen[row * topK + rank]!);
}

/** Rows [start, end) of one routing group, in priority order. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export function groupSpans({ group }: RoutingRecord): Span[] {
  const spans: Span[] = [];
  for (let start = 0, row = 1; row <= group.length; row++)
    if (row === group.length || group[row] !== group[start]) {
      spans.push({ start, end: row });
      start = row;
    }
  return spans;
}
