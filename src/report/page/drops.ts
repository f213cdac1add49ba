/** Finding 3 in full: who loses their expert, where, and whether the order of filling does it. */
import type { DropFinding, DropLayer, EndDrops } from '../../routing/index.ts';
import type { Chart } from '../chart.ts';
import { domainDropsChart } from '../charts/domain-drops.ts';
import { dropsChart } from '../charts/drops.ts';
import { intervalsChart } from '../charts/intervals.ts';
import { html, type Markup } from '../html.ts';
import { decimal, inPercent, percent, whole } from '../numbers.ts';
import { ESTIMATE_COLUMNS, estimateCells, figures, judgement, section, table, verdictBadge, type Content } from './parts.ts';
import { NULLS, TITLES } from './words.ts';

/** Least ratio that counts as an effect (the verdict's bound). */
const EFFECT = 1.2;

export function dropsSection(finding: DropFinding, command: string): Markup {
  const intro = html`<p>
      Every expert has room for a fixed number of tokens of a routing group; who comes later finds it full more often. <b>ratio</b> is the
      drop rate in the last quarter ÷ that in the first; <b>drift</b> is the same when the same routes are filled in random order, so that
      only changing demand remains; <b>order</b> = ratio ÷ drift is what the order does; <b>shift</b> compares text never trained on.
      Priority: all first choices in token order, then all second choices.
    </p>
    <p>${verdictBadge(finding.verdict)}</p>
    <p class="note">${NULLS[finding.id]} Intervals: bootstrap over routing groups.</p>`;
  return section('finding-3', `Finding 3: ${TITLES[finding.id]}`, intro, ...finding.layers.map((layer) => layerPart(layer, command)));
}

function layerPart({ atTrainCapacity, ...layer }: DropFinding['layers'][number], command: string): Markup {
  const own = `capacity ${layer.capacity}`;
  return html`<h3>Layer ${layer.layer}</h3>
    ${judgement(`At ${own} (as evaluated)`, layer)}
    ${atTrainCapacity ? judgement(`At capacity ${atTrainCapacity.capacity} (as trained)`, atTrainCapacity) : undefined}
    ${figures(chartsOf(layer, atTrainCapacity ? own : ''), command)} ${numbers(layer, atTrainCapacity ? `${own}, as evaluated` : own)}
    ${
      atTrainCapacity
        ? html`${figures([dropsChart(atTrainCapacity.byGroup, { layer: layer.layer, where: `capacity ${atTrainCapacity.capacity}` })], command)}
          ${numbers(atTrainCapacity, `capacity ${atTrainCapacity.capacity}, as trained`)}`
        : undefined
    }`;
}

function chartsOf(layer: DropLayer, where: string): Chart[] {
  const at = { layer: layer.layer, where };
  const { ratio, drift, order } = layer.byGroup;
  const rows = Object.entries({ ratio, drift, order, ...(layer.shift && { shift: layer.shift }) }).map(([label, estimate]) => ({
    label,
    estimate,
  }));
  return [
    dropsChart(layer.byGroup, at),
    ...(sameCurve(layer) ? [] : [dropsChart(layer.bySequence, at)]),
    domainDropsChart(bothQuarters(layer.byGroup) ? layer.byGroup.curve : layer.bySequence.curve, layer.layer),
    intervalsChart(`Last against first quarter, layer ${layer.layer}`, rows, { label: 'ratio of drop rates', type: 'log', bound: EFFECT }),
  ];
}

/** Whether every domain stands in the first and in the last quarter; sequences that share a group may leave one to others. */
const bothQuarters = ({ curve: { domains, bins } }: EndDrops): boolean =>
  domains.every(({ slots }) => [slots.slice(0, bins / 4), slots.slice(-bins / 4)].every((quarter) => quarter.some((n) => n > 0)));

/** Groups of one sequence each have one axis, not two. */
const sameCurve = ({ byGroup, bySequence }: DropLayer): boolean =>
  byGroup.curve.pooled.dropped.every((n, b) => n === bySequence.curve.pooled.dropped[b]);

function numbers(layer: DropLayer, where: string): Markup {
  const axis = ({ axis: name, ratio, drift, order, dropped, cause }: EndDrops): Content[][] => [
    [`ratio by ${name}${cause ? `, ${cause}` : ''}`, ...estimateCells(ratio)],
    [`drift by ${name}`, ...estimateCells(drift)],
    [`order by ${name}`, ...estimateCells(order)],
    [`dropped slots in both quarters, by ${name}`, whole(dropped), '', '', ''],
  ];
  return html`${table(
    `Numbers of layer ${layer.layer} at ${where}: n slots for the drop rate, routing groups for the rest.`,
    [{ name: 'quantity' }, ...ESTIMATE_COLUMNS],
    [
      ['drop rate', percent(layer.drop.value), inPercent(layer.drop), percent(layer.drop.chance), whole(layer.drop.n)],
      ...axis(layer.byGroup),
      ...axis(layer.bySequence),
      layer.shift
        ? ['shift: held-out ÷ trained domains', ...estimateCells(layer.shift)]
        : ['shift', 'no held-out domain in groups of its own', '', '', ''],
      ['nothing is dropped from capacity factor', decimal(layer.lossFreeFactor), '', '', ''],
      ['slots that a replay in order keeps or drops as recorded', percent(layer.replayed), '', '', ''],
    ],
  )}`;
}
