/** Keeps the news of training in the run folder: metrics.jsonl and routing/steps.jsonl a line a step, the rest in events.jsonl. */
import { type StepRouting, type StepShape, sumStep } from '../routing/index.ts';
import type { Run } from '../runs/index.ts';
import type { TrainEvent } from '../train/index.ts';

/** Equal stretches of the sequence in which drops are counted. */
export const POSITION_BUCKETS = 16;

type StepEvent = Extract<TrainEvent, { kind: 'step' }>;

/** One line of metrics.jsonl; also what `--jsonl` prints for a step. */
export interface MetricsLine {
  readonly step: number;
  /** Nats per token; `loss` with the auxiliary losses. */
  readonly loss: number;
  readonly cross_entropy: number;
  readonly learning_rate: number;
  /** Seen so far. */
  readonly tokens: number;
  /** Of this step. */
  readonly seconds: number;
  /** By MoE layer. */
  readonly layers: readonly {
    readonly layer: number;
    readonly balance_loss: number;
    readonly router_z: number;
    readonly dropped: number;
  }[];
}

/** One MoE layer of one step, as routing/steps.jsonl has it. */
export type RoutingLine = {
  readonly step: number;
  readonly layer: number;
  readonly balanceLoss: number;
  readonly routerZ: number;
} & StepRouting;

export const routingLines = ({ step, layers }: StepEvent, shape: StepShape): RoutingLine[] =>
  layers.map(({ layer, balanceLoss, routerZ, chosen, gates, kept }) => ({
    step,
    layer,
    balanceLoss,
    routerZ,
    ...sumStep(chosen, gates, kept, shape),
  }));

/** `dropped` is a share of the layer's slots. */
export function metricsLine(event: StepEvent): MetricsLine {
  const { step, loss, crossEntropy, learningRate, tokens, seconds, layers } = event;
  return {
    step,
    loss,
    cross_entropy: crossEntropy,
    learning_rate: learningRate,
    tokens,
    seconds,
    layers: layers.map((l) => ({ layer: l.layer, balance_loss: l.balanceLoss, router_z: l.routerZ, dropped: droppedShare(l.kept) })),
  };
}

export const droppedShare = (kept: ArrayLike<number>): number => {
  let room = 0;
  for (let slot = 0; slot < kept.length; slot++) if (kept[slot]) room++;
  return kept.length > 0 ? 1 - room / kept.length : 0;
};

/** Passes events on once the run has them. */
export async function* recorded(
  events: AsyncIterable<TrainEvent>,
  run: Pick<Run, 'appender'>,
  shape: StepShape,
): AsyncGenerator<TrainEvent> {
  for await (const event of events) {
    if (event.kind === 'step') {
      run.appender('metrics.jsonl').append(metricsLine(event));
      for (const line of routingLines(event, shape)) run.appender('routing/steps.jsonl').append(line);
    } else {
      run.appender('events.jsonl').append({ ...event, time: new Date().toISOString() });
    }
    yield event;
  }
}
