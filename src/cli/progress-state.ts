/** What the progress display knows: events and the times at which they came, folded into one value. */
import { type StepShape, sumStep } from '../routing/index.ts';
import type { TrainEvent } from '../train/index.ts';

export interface LayerState {
  readonly layer: number;
  /** Load-balancing loss: experts' number of choices (2 for top-2) at balance. */
  readonly balanceLoss: number;
  /** Share of slots without room. */
  readonly dropped: number;
  /** Experts that no slot chose in this step. */
  readonly dead: number;
  readonly experts: number;
  /** Entropy of the loads in bits, and where every expert has the same. */
  readonly entropy: number;
  readonly evenEntropy: number;
}

export interface ProgressState {
  readonly params: { readonly total: number; readonly active: number };
  /** First step of this session, steps done, steps asked for. */
  readonly from: number;
  readonly step: number;
  readonly steps: number;
  readonly tokens: number;
  readonly tokensPerStep: number;
  readonly flopsPerStep: number;
  /** FLOP/s of this machine at its best; undefined when nobody measured it. */
  readonly peak: number | undefined;
  readonly crossEntropy: number;
  readonly learningRate: number;
  /** Cross-entropy of each step so far, in this session. */
  readonly losses: readonly number[];
  readonly validation: { readonly step: number; readonly loss: number; readonly byDomain: Readonly<Record<string, number>> } | undefined;
  readonly saved: number | undefined;
  readonly layers: readonly LayerState[];
  /** Milliseconds at which the session began, and of the last event. */
  readonly began: number;
  readonly now: number;
  /** Seconds of the latest steps, oldest first, and of all steps of this session together. */
  readonly recent: readonly number[];
  readonly stepSeconds: number;
  /** How the session ended; undefined while it runs. */
  readonly ending: 'finished' | 'signal' | 'time' | undefined;
}

/** Steps over which speed is averaged. */
const WINDOW = 20;

const NOTHING: ProgressState = {
  params: { total: 0, active: 0 },
  from: 0,
  step: 0,
  steps: 0,
  tokens: 0,
  tokensPerStep: 0,
  flopsPerStep: 0,
  peak: undefined,
  crossEntropy: NaN,
  learningRate: NaN,
  losses: [],
  validation: undefined,
  saved: undefined,
  layers: [],
  began: 0,
  now: 0,
  recent: [],
  stepSeconds: 0,
  ending: undefined,
};

export const initialState = (now: number, peak: number | undefined): ProgressState => ({ ...NOTHING, peak, began: now, now });

/** The state after an event that came at `now` milliseconds. */
export function advance(
  state: ProgressState,
  event: TrainEvent,
  { now, shape }: { readonly now: number; readonly shape: StepShape },
): ProgressState {
  switch (event.kind) {
    case 'start': {
      const { step, steps, params, tokensPerStep, flopsPerStep } = event;
      return { ...state, now, began: now, from: step, step, steps, params, tokensPerStep, flopsPerStep };
    }
    case 'step': {
      const { step, tokens, crossEntropy, learningRate } = event;
      const layers = event.layers.map((l) => layerState(l, shape));
      const recent = [...state.recent.slice(1 - WINDOW), event.seconds];
      const stepSeconds = state.stepSeconds + event.seconds;
      return {
        ...state,
        now,
        step,
        tokens,
        crossEntropy,
        learningRate,
        layers,
        recent,
        stepSeconds,
        losses: [...state.losses, crossEntropy],
      };
    }
    case 'validation':
      return { ...state, now, validation: { step: event.step, loss: event.loss, byDomain: event.byDomain } };
    case 'saved':
      return { ...state, now, saved: event.step };
    case 'stopped':
      return { ...state, now, step: event.step, ending: event.reason };
    case 'finished':
      return { ...state, now, step: event.step, ending: 'finished' };
  }
}

function layerState(
  { layer, balanceLoss, chosen, gates, kept }: Extract<TrainEvent, { kind: 'step' }>['layers'][number],
  shape: StepShape,
): LayerState {
  const { load, dropped, loadEntropy } = sumStep(chosen, gates, kept, shape);
  const dead = (load[0] ?? []).filter((_, e) => load.every((rank) => rank[e] === 0)).length;
  const { experts } = shape;
  return {
    layer,
    balanceLoss,
    dropped: chosen.length > 0 ? dropped / chosen.length : 0,
    dead,
    experts,
    entropy: loadEntropy,
    evenEntropy: Math.log2(experts),
  };
}

export interface Speed {
  readonly tokensPerSecond: number;
  /** Of the machine's peak. */
  readonly share: number | undefined;
  /** Seconds until the last step, by the wall clock of this session: validation and saving count. */
  readonly eta: number | undefined;
}

/** Undefined before the first step. */
export function speed({ recent, tokensPerStep, flopsPerStep, peak, began, now, from, step, steps }: ProgressState): Speed | undefined {
  if (recent.length === 0) return undefined;
  const seconds = recent.reduce((a, b) => a + b, 0) / recent.length;
  const done = step - from;
  return {
    tokensPerSecond: tokensPerStep / seconds,
    share: peak === undefined ? undefined : flopsPerStep / seconds / peak,
    eta: done > 0 ? (((now - began) / 1000) * (steps - step)) / done : undefined,
  };
}
