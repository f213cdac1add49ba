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
  /** Cross-entropy of this session from its first step on. */
  readonly curve: Curve;
  readonly validation: { readonly step: number; readonly loss: number; readonly byDomain: Readonly<Record<string, number>> } | undefined;
  readonly saved: number | undefined;
  readonly layers: readonly LayerState[];
  /** Milliseconds at which the session began, and of the last event. */
  readonly began: number;
  readonly now: number;
  /** The latest steps, oldest first; and the seconds of all steps of this session together. */
  readonly recent: readonly { readonly seconds: number; readonly crossEntropy: number }[];
  readonly stepSeconds: number;
  /** How the session ended; undefined while it runs. */
  readonly ending: 'finished' | 'signal' | 'time' | undefined;
}

/** Values in order, thinned as they become many: each point is the mean of `steps` of them, the last one of those so far. */
export interface Curve {
  readonly points: readonly number[];
  readonly steps: number;
  /** Values in the last point. */
  readonly filled: number;
}

/** Steps over which speed and the training loss are averaged. */
const WINDOW = 20;

/** More points than any terminal has columns. */
const POINTS = 1024;

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
  curve: { points: [], steps: 1, filled: 1 },
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
      const recent = [...state.recent.slice(1 - WINDOW), { seconds: event.seconds, crossEntropy }];
      const stepSeconds = state.stepSeconds + event.seconds;
      const curve = extended(state.curve, crossEntropy);
      return { ...state, now, step, tokens, crossEntropy, learningRate, layers, recent, stepSeconds, curve };
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

function extended({ points, steps, filled }: Curve, value: number): Curve {
  if (filled < steps) {
    const mean = (points.at(-1)! * filled + value) / (filled + 1);
    return { points: [...points.slice(0, -1), mean], steps, filled: filled + 1 };
  }
  if (points.length < POINTS) return { points: [...points, value], steps, filled: 1 };
  const halved = Array.from({ length: POINTS / 2 }, (_, i) => (points[2 * i]! + points[2 * i + 1]!) / 2);
  return { points: [...halved, value], steps: steps * 2, filled: 1 };
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
  const seconds = recent.reduce((sum, r) => sum + r.seconds, 0) / recent.length;
  const done = step - from;
  return {
    tokensPerSecond: tokensPerStep / seconds,
    share: peak === undefined ? undefined : flopsPerStep / seconds / peak,
    eta: done > 0 ? (((now - began) / 1000) * (steps - step)) / done : undefined,
  };
}
