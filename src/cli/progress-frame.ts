/** The progress display as text: lines for a terminal, or one line of key=value for a log. */
import { formatCount, formatDuration, formatShare, sparkline } from '../base/index.ts';
import { type LayerState, type ProgressState, speed } from './progress-state.ts';
import { fit, type Span } from './span.ts';
import type { Colors } from './terminal.ts';

const LEAST_WIDTH = 1;
/** Wide enough to show a shape, and left for the numbers beside it. */
const MOST_SPARKS = 32;
const BAR = 20;

/** Lines of at most `width` columns each. */
export function frame(state: ProgressState, width: number, colors?: Colors): string[] {
  const lines = [headLine(state), lossLine(state, width), speedLine(state), ...state.layers.map(layerLine)];
  return lines.map((spans) => fit(spans, Math.max(LEAST_WIDTH, width), colors));
}

const share = ({ step, steps }: ProgressState): number => (steps > 0 ? Math.min(1, step / steps) : 1);

function headLine(state: ProgressState): Span[] {
  const filled = Math.round(share(state) * BAR);
  const eta = speed(state)?.eta;
  return [
    [`step ${state.step}/${state.steps}`, 'bold'],
    [`  ${formatShare(share(state)).padStart(5)} `],
    ['━'.repeat(filled), 'cyan'],
    ['━'.repeat(BAR - filled), 'dim'],
    [eta === undefined || state.step >= state.steps ? '' : `  ${formatDuration(eta)} left`],
  ];
}

function lossLine({ curve, crossEntropy, validation }: ProgressState, width: number): Span[] {
  const room = Math.max(0, Math.min(MOST_SPARKS, width - 40));
  return [
    ['loss ', 'dim'],
    [shownLoss(crossEntropy), 'bold'],
    ['  '],
    [sparkline(curve.points, room), 'cyan'],
    ['  validation ', 'dim'],
    [validation ? `${shownLoss(validation.loss)} (step ${validation.step})` : '–'],
  ];
}

function speedLine(state: ProgressState): Span[] {
  const now = speed(state);
  return [
    ['rate ', 'dim'],
    [Number.isFinite(state.learningRate) ? state.learningRate.toPrecision(3) : '–'],
    ['  speed ', 'dim'],
    [now ? `${formatCount(now.tokensPerSecond)} tok/s` : '–'],
    ...(now?.share === undefined ? [] : ([['  '], [formatShare(now.share)], [' of peak', 'dim']] satisfies Span[])),
    ['  saved ', 'dim'],
    [state.saved === undefined ? '–' : `step ${state.saved}`],
  ];
}

function layerLine({ layer, balanceLoss, dropped, dead, experts, entropy, evenEntropy }: LayerState): Span[] {
  return [
    [`layer ${layer}`.padEnd(9), 'dim'],
    ['balance ', 'dim'],
    [balanceLoss.toFixed(3)],
    ['  dropped ', 'dim'],
    [formatShare(dropped).padEnd(5)],
    ['  dead ', 'dim'],
    dead > 0 ? [`${dead}/${experts}`, 'yellow'] : [`${dead}/${experts}`],
    ['  entropy ', 'dim'],
    [`${entropy.toFixed(2)}/${evenEntropy.toFixed(2)} bits`],
  ];
}

const shownLoss = (loss: number): string => (Number.isFinite(loss) ? loss.toFixed(3) : '–');

/** One line of `key=value`, numbers plain enough for awk. */
export function plainLine(state: ProgressState): string {
  const now = speed(state);
  const pairs: [string, number | string | undefined][] = [
    ['step', state.step],
    ['steps', state.steps],
    ['loss', rounded(state.crossEntropy)],
    ['val_loss', rounded(state.validation?.loss)],
    ['learning_rate', rounded(state.learningRate)],
    ['tok_per_s', now && Math.round(now.tokensPerSecond)],
    ['share_of_peak', rounded(now?.share)],
    ['eta_s', now?.eta === undefined ? undefined : Math.round(now.eta)],
    ...state.layers.flatMap(({ layer, balanceLoss, dropped, dead, entropy }): [string, number | undefined][] => [
      [`layer${layer}.balance`, rounded(balanceLoss)],
      [`layer${layer}.dropped`, rounded(dropped)],
      [`layer${layer}.dead`, dead],
      [`layer${layer}.entropy`, rounded(entropy)],
    ]),
  ];
  return pairs.flatMap(([key, known]) => (known === undefined ? [] : [`${key}=${known}`])).join(' ');
}

/** Four significant digits; nothing for what is not known yet. */
const rounded = (number: number | undefined): number | undefined =>
  number === undefined || !Number.isFinite(number) ? undefined : Number(number.toPrecision(4));
