/** Finding 2 in full: how the map from token id to first expert formed, layer by layer. */
import type { EarlyFinding, EarlyLayer } from '../../routing/index.ts';
import { earlyChart } from '../charts/early.ts';
import { html, type Markup } from '../html.ts';
import { decimal, percent, whole } from '../numbers.ts';
import { figures, inBrackets, judgement, orDash, section, table, verdictBadge } from './parts.ts';
import { between } from './summary.ts';
import { NULLS, TITLES } from './words.ts';

export function earlySection(finding: EarlyFinding, command: string): Markup {
  const loss =
    finding.loss &&
    html`<p>
      For comparison, the validation loss had made half of its decline ${between(finding.loss.t50)}, four fifths
      ${between(finding.loss.t80)}.
    </p>`;
  const intro = html`<p>
      How soon did the router send each token where it sends it at the end? <b>map</b> compares the map from token id to first expert with
      the final one (0 unrelated, 1 the same); <b>force</b> says how much of a token router it is already, whatever its map;
      <b>agree</b> counts equal choices slot by slot, beyond chance.
    </p>
    <p>${verdictBadge(finding.verdict)}</p>
    <p class="note">${NULLS[finding.id]} Intervals: delete-one-block jackknife over sequences.</p>`;
  const charts = finding.layers.map(earlyChart);
  return section('finding-2', `Finding 2: ${TITLES[finding.id]}`, intro, loss, figures(charts, command), ...finding.layers.map(layerPart));
}

function layerPart({ layer, points, kappaEnd, t50, t80, ...of }: EarlyLayer): Markup {
  const columns = [
    'checkpoint',
    'share',
    'map [95 %]',
    'force [95 %]',
    'agree [95 %]',
    'agree, chance',
    'beyond chance',
    'K-sets beyond chance',
    'churn',
    'loss',
    'update',
  ];
  return html`<h3>Layer ${layer}</h3>
    ${judgement('Early routing learning', of)}
    <p>
      Half of the map: ${between(t50)}. Four fifths: ${between(t80)}. κ at the end: ${inBrackets(kappaEnd)}, chance 0, n =
      ${whole(kappaEnd.n)} tokens.
    </p>
    ${table(
      `Checkpoints of layer ${layer}; n = ${whole(kappaEnd.n)} tokens each; chance of map and force is 0. Churn is the change since the checkpoint before, loss in nats, update the size of the weight updates since: learning-rate decay alone slows all change. – means not measured.`,
      columns.map((name) => ({ name, right: true })),
      points.map((p) => [
        `step ${p.step}`,
        percent(p.share),
        orDash(inBrackets(p.map)),
        orDash(inBrackets(p.force)),
        orDash(inBrackets(p.agree)),
        decimal(p.agree.chance),
        orDash(decimal(p.agreeBeyondChance.value)),
        orDash(decimal(p.overlapBeyondChance.value)),
        orDash(decimal(p.churn?.value)),
        orDash(decimal(p.loss)),
        orDash(decimal(p.update)),
      ]),
    )}`;
}
