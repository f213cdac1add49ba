/** All that the routing report shows, as plain data: three findings with their verdicts, and the tables beside them. */
import { EXIT, UserError } from '../base/index.ts';
import { contextsOf } from './bits.ts';
import { deviationByPosition, deviationByToken, type Deviation } from './deviation.ts';
import { dropTowardsTheEnd, type DropLayer } from './drop-towards-the-end.ts';
import { checkSameProbe, earlyRouting, lossBrackets, type Bracket, type CheckpointNote, type EarlyLayer } from './early.ts';
import { layerLoad, type LayerLoad } from './load.ts';
import { pooled, polygons, type Polygon } from './polygons.ts';
import { probeOf, type Probe } from './probe.ts';
import { checkRecord, groupSpans, type LayerRecord, type RoutingRecord } from './record.ts';
import { atCapacity } from './replay.ts';
import { specialization, type SpecializationLayer } from './specialization.ts';
import { strongestTokens, type StrongToken } from './tokens.ts';
import { together, type Verdict } from './verdict.ts';

/** Strongest ids listed per expert (Tables 9, 15) and least slots of an id in Fig 14. */
const TOP_TOKENS = 10;
const LEAST_SLOTS = 128;

/** The word of the layers where they agree, else `layers differ`. */
export type ModelVerdict = Verdict | 'layers differ';

export interface SpecializationFinding {
  readonly id: 'context-independent-specialization';
  readonly verdict: ModelVerdict;
  readonly token_over_domain: ModelVerdict;
  readonly layers: readonly SpecializationLayer[];
}

export interface EarlyFinding {
  readonly id: 'early-routing-learning';
  readonly verdict: ModelVerdict;
  /** The same brackets of the share of the loss decline, where every checkpoint has a loss. */
  readonly loss?: { readonly t50: Bracket; readonly t80: Bracket };
  readonly layers: readonly EarlyLayer[];
}

export interface DropFinding {
  readonly id: 'drop-towards-the-end';
  readonly verdict: ModelVerdict;
  readonly layers: readonly (DropLayer & {
    /** The same routes at the capacity of training, where another was given. */
    readonly atTrainCapacity?: DropLayer;
  })[];
}

/** What is shown beside the findings, of the last checkpoint. */
export interface LayerTables {
  readonly layer: number;
  readonly load: LayerLoad;
  readonly polygons: readonly Polygon[];
  /** [E] all polygons pooled: chance for each. */
  readonly pooledPolygon: readonly number[];
  /** [E][≤ 10] */
  readonly strongest: readonly (readonly StrongToken[])[];
  readonly deviationByPosition: readonly Deviation[];
  /** Ids of more than 128 kept slots. */
  readonly deviationByToken: readonly Deviation[];
}

export interface ProbeFacts {
  readonly tokens: number;
  readonly sequences: number;
  readonly groups: number;
  readonly experts: number;
  readonly topK: number;
  readonly domains: readonly { readonly domain: string; readonly heldOut: boolean; readonly sequences: number; readonly tokens: number }[];
  /** Jackknife blocks of findings 1 and 2. */
  readonly blocks: number;
  readonly checkpoints: readonly { readonly step: number; readonly share: number }[];
}

export interface Findings {
  /** Seed of the bootstrap and of the random priorities. */
  readonly seed: number;
  readonly probe: ProbeFacts;
  readonly findings: readonly [SpecializationFinding, EarlyFinding, DropFinding];
  readonly layers: readonly LayerTables[];
}

export interface Analysis {
  readonly seed: number;
  /** Slots per expert and group in training, for groups of the probe's length; judged beside the record's own capacity. */
  readonly trainCapacity?: number;
  /** One a record. */
  readonly notes?: readonly CheckpointNote[];
}

/**
 * Judges the checkpoints of one run, in training order; the last is the end. Pure: equal records and seed give equal findings.
 * Throws UserError E_ROUTING_RECORD, E_ROUTING_PROBE, E_ROUTING_EMPTY.
 */
export function analyse(records: readonly RoutingRecord[], { seed, trainCapacity, notes = [] }: Analysis): Findings {
  const last = records.at(-1);
  if (!last || last.layers.length === 0 || last.tokens.length === 0)
    throw new UserError('E_ROUTING_EMPTY', EXIT.usage, {
      message: 'no routing record with a token and an MoE layer',
      hint: 'probe at least one checkpoint',
    });
  records.forEach(checkRecord);
  checkSameProbe(records);
  const probe = probeOf(last);
  const loss = lossBrackets(records, notes);
  const one = specializationFinding(last, probe);
  const two = last.layers.map((_, index) => earlyRouting(probe, records, { index, notes }));
  const three = last.layers.map((layer) => dropLayer(last, layer, { seed, trainCapacity }));
  return {
    seed,
    probe: probeFacts(records, probe),
    findings: [
      one,
      { id: 'early-routing-learning', verdict: together(two.map(({ verdict }) => verdict)), ...(loss && { loss }), layers: two },
      { id: 'drop-towards-the-end', verdict: together(three.map(({ verdict }) => verdict)), layers: three },
    ],
    layers: last.layers.map((layer) => tablesOfLayer(last, layer)),
  };
}

function specializationFinding(record: RoutingRecord, probe: Probe): SpecializationFinding {
  const contexts = contextsOf(probe);
  const layers = record.layers.map((layer) => specialization(record, layer, { probe, contexts }));
  return {
    id: 'context-independent-specialization',
    verdict: together(layers.map(({ verdict }) => verdict)),
    token_over_domain: together(layers.map(({ token_over_domain: { verdict } }) => verdict)),
    layers,
  };
}

function dropLayer(
  record: RoutingRecord,
  layer: LayerRecord,
  { seed, trainCapacity }: { seed: number; trainCapacity: number | undefined },
): DropFinding['layers'][number] {
  const own = dropTowardsTheEnd(record, layer, seed);
  if (trainCapacity === undefined || trainCapacity === layer.capacity) return own;
  const how = { experts: record.experts, topK: record.topK, capacity: trainCapacity };
  return { ...own, atTrainCapacity: dropTowardsTheEnd(record, atCapacity(layer, groupSpans(record), how), seed) };
}

function tablesOfLayer(record: RoutingRecord, layer: LayerRecord): LayerTables {
  const drawn = polygons(record, layer);
  return {
    layer: layer.layer,
    load: layerLoad(record, layer),
    polygons: drawn,
    pooledPolygon: pooled(drawn),
    strongest: strongestTokens(record, layer, TOP_TOKENS),
    deviationByPosition: deviationByPosition(record, layer),
    deviationByToken: deviationByToken(record, layer).filter(({ n }) => n > LEAST_SLOTS),
  };
}

function probeFacts(records: readonly RoutingRecord[], { blocks }: Probe): ProbeFacts {
  const { tokens, sequence, domain, domains, heldOut, experts, topK, ...last } = records.at(-1)!;
  const rowsOf = (d: number): number[] => [...domain.keys()].filter((row) => domain[row] === d);
  return {
    tokens: tokens.length,
    sequences: new Set(sequence).size,
    groups: new Set(last.group).size,
    experts,
    topK,
    blocks,
    domains: domains.map((name, d) => {
      const rows = rowsOf(d);
      return {
        domain: name,
        heldOut: heldOut.includes(name),
        sequences: new Set(rows.map((row) => sequence[row])).size,
        tokens: rows.length,
      };
    }),
    checkpoints: records.map(({ step, share }) => ({ step, share })),
  };
}
