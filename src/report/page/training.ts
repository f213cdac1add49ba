/** Training: loss curves, validation by domain, and what the routers did on the way. */
import { domainLossChart } from '../charts/domain-loss.ts';
import { loadOverTimeChart } from '../charts/load-over-time.ts';
import { lossChart } from '../charts/loss.ts';
import { balanceOverTimeChart, droppedOverTimeChart, type LayerSteps } from '../charts/series.ts';
import { html, type Markup } from '../html.ts';
import type { ReportInput } from '../input.ts';
import { decimal } from '../numbers.ts';
import { figures, section, table } from './parts.ts';

/** The balance loss of an even load with two choices a token: E · Σ (chosen share · mean probability), summed over the choices. */
const BALANCED = 2;

export function trainingSection(input: ReportInput, command: string): Markup {
  const { metrics, validation, baselines } = input;
  const training = metrics.map(({ crossEntropy, ...at }) => ({ ...at, loss: crossEntropy }));
  const layers = layerSteps(input);
  const routers = [
    ...layers.map(({ layer, steps }) => loadOverTimeChart(layer, steps)),
    droppedOverTimeChart(layers),
    balanceOverTimeChart(layers, BALANCED),
  ];
  return section(
    'training',
    'Training',
    html`<p>
      Cross-entropy on training batches and on held-out documents. Unigram and bigram (interpolated Kneser–Ney) were counted on the same
      training tokens: what counting alone reaches.
    </p>`,
    figures([lossChart({ training, validation, baselines }), ...(validation.length > 0 ? [domainLossChart(validation)] : [])], command),
    validation.length > 0 ? domainTable(validation) : html`<p>No validation yet.</p>`,
    layers.length > 0
      ? html`<h3>Routers while training</h3>
          ${figures(routers, command)}`
      : undefined,
  );
}

/** The thinned steps turned into one series a layer. */
function layerSteps({ stepRouting }: ReportInput): LayerSteps[] {
  const byLayer = new Map<number, LayerSteps['steps'][number][]>();
  for (const { step, layers } of stepRouting)
    for (const { layer, ...rest } of layers) byLayer.set(layer, [...(byLayer.get(layer) ?? []), { step, ...rest }]);
  return [...byLayer].map(([layer, steps]) => ({ layer, steps }));
}

function domainTable(validation: ReportInput['validation']): Markup {
  const [first, last] = [validation[0]!, validation.at(-1)!];
  return table(
    `Validation loss by domain, nats per token, at the first and the last of ${validation.length} evaluations`,
    ['domain', `step ${first.step}`, `step ${last.step}`].map((name, c) => ({ name, right: c > 0 })),
    [
      ['all', decimal(first.loss), decimal(last.loss)],
      ...Object.keys(last.byDomain).map((d) => [d, decimal(first.byDomain[d]), decimal(last.byDomain[d])]),
    ],
  );
}
