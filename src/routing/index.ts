/** routing: what routers do, measured on routing records. Must not know how a router routes; it reads what the model tapped. */
export { deviation, deviationByPosition, deviationByToken, sameLoadDeviation, type Deviation } from './deviation.ts';
export { dropRate, drops, type Axis, type DropCurve, type Drops } from './drops.ts';
export { dropTowardsTheEnd, type DropLayer, type EndDrops } from './drop-towards-the-end.ts';
export { type Bracket, type CheckpointNote, type EarlyLayer, type EarlyPoint } from './early.ts';
export {
  analyse,
  type Analysis,
  type DropFinding,
  type EarlyFinding,
  type Findings,
  type LayerTables,
  type ModelVerdict,
  type ProbeFacts,
  type SpecializationFinding,
} from './findings.ts';
export { type Estimate, type Interval } from './interval.ts';
export { balance, entropyBits, layerLoad, shares, type Balance, type LayerLoad } from './load.ts';
export { polygon, polygons, pooled, type Polygon } from './polygons.ts';
export { openProber, type Prober, type ProbeSet } from './record-probe.ts';
export { checkRecord, choicesOfRank, groupSpans, type LayerRecord, type RoutingRecord, type Span } from './record.ts';
export { type Margins, type SpecializationLayer, type Tables } from './specialization.ts';
export { meanRouterEntropy, sumStep, type StepRouting, type StepShape } from './step.ts';
export { strongestTokens, type StrongToken } from './tokens.ts';
export { type Judgement, type Verdict } from './verdict.ts';
export type { Case as SyntheticCase } from './synthetic-cases.ts';
export { syntheticText, type Text, type TextShape } from './synthetic-text.ts';
export { late, recordOf, settles, tokenRouterAt, type RecordShape, type Router, type RouterSeed, type Trajectory } from './synthetic.ts';
