/** Shows training while it runs: a live region for who watches, plain lines for a log, events for --jsonl. */
import type { StepShape } from '../routing/index.ts';
import type { TrainEvent } from '../train/index.ts';
import { atExit, openLiveRegion } from './live-region.ts';
import { frame, plainLine } from './progress-frame.ts';
import { advance, initialState, type ProgressState } from './progress-state.ts';
import { metricsLine } from './record.ts';
import type { Terminal } from './terminal.ts';

export interface ProgressNeeds {
  readonly terminal: Terminal;
  readonly shape: StepShape;
  /** FLOP/s of this machine at its best, where somebody measured it. */
  readonly peak: number | undefined;
  /** Milliseconds, as performance.now(). */
  clock(): number;
}

/** Milliseconds between two pictures, and between two plain lines. */
const DRAW_EVERY = 100;
const LINE_EVERY = 5000;

interface Display {
  show(state: ProgressState, event: TrainEvent): void;
  close(): void;
}

/** Consumes all events; returns the last state. The terminal is as before when this returns or throws. */
export async function watch(events: AsyncIterable<TrainEvent>, { terminal, shape, peak, clock }: ProgressNeeds): Promise<ProgressState> {
  const display = terminal.live ? liveDisplay(terminal) : plainDisplay(terminal);
  let state = initialState(clock(), peak);
  try {
    for await (const event of events) {
      state = advance(state, event, { now: clock(), shape });
      terminal.event(event.kind === 'step' ? { event: 'step', ...metricsLine(event) } : { event: event.kind, ...withoutKind(event) });
      display.show(state, event);
    }
    return state;
  } finally {
    display.close();
  }
}

const withoutKind = ({ kind: _, ...rest }: TrainEvent): object => rest;

function liveDisplay({ err, colors, divert }: Terminal): Display {
  const region = openLiveRegion(err, atExit);
  divert((line) => region.say(line));
  let [drawnAt, latest] = [-Infinity, undefined as ProgressState | undefined];
  const draw = (state: ProgressState): void => region.draw(frame(state, region.width(), colors.err));
  return {
    show(state, { kind }) {
      latest = state;
      if (kind === 'step' && state.now - drawnAt < DRAW_EVERY) return;
      draw(state);
      drawnAt = state.now;
    },
    close() {
      if (latest) draw(latest);
      divert(undefined);
      region.close();
    },
  };
}

/** The first step, then every few seconds, and whatever is not a step. */
function plainDisplay({ say }: Terminal): Display {
  let saidAt = -Infinity;
  return {
    show(state, event) {
      if (event.kind === 'step') {
        if (state.now - saidAt < LINE_EVERY) return;
        saidAt = state.now;
        return say(plainLine(state));
      }
      say(plainNews(event));
    },
    close() {},
  };
}

function plainNews(event: Exclude<TrainEvent, { kind: 'step' }>): string {
  switch (event.kind) {
    case 'start':
      return `start step=${event.step} steps=${event.steps} weights=${event.params.total} active=${event.params.active} tokens_per_step=${event.tokensPerStep}`;
    case 'validation':
      return `validation step=${event.step} loss=${event.loss.toFixed(4)}`;
    case 'saved':
      return `saved step=${event.step}`;
    case 'stopped':
      return `stopped step=${event.step} reason=${event.reason}`;
    case 'finished':
      return `finished step=${event.step}`;
  }
}
