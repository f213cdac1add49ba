/** The first screen: what was trained, how well it predicts, and the three verdicts with what they stand on. */
import { formatCount, formatDuration } from '../../base/index.ts';
import type { Findings } from '../../routing/index.ts';
import { html, type Markup } from '../html.ts';
import type { ReportInput } from '../input.ts';
import { decimal, whole } from '../numbers.ts';
import { inBrackets, section, verdictBadge } from './parts.ts';
import { NULLS, TITLES, WORDS } from './words.ts';

export const summarySection = (input: ReportInput): Markup =>
  section('summary', 'Summary', facts(input), lossSentence(input), input.findings ? cards(input.findings) : NO_FINDINGS);

const NO_FINDINGS = html`<p>This run has no routing findings: its model has no MoE layer, or no checkpoint was probed yet.</p>`;

function facts({ params, steps, tokens, seconds, validation, baselines, findings }: ReportInput): Markup {
  const entries: readonly (readonly [string, string])[] = [
    ['weights in all', formatCount(params.total)],
    ['active for each token', formatCount(params.active)],
    ...(findings
      ? [['experts', `${findings.probe.experts}, top ${findings.probe.topK}, in ${findings.layers.length} layers`] as const]
      : []),
    ['training', `${whole(steps)} steps, ${formatCount(tokens)} tokens`],
    ['time', formatDuration(seconds)],
    ['speed', `${seconds > 0 ? formatCount(tokens / seconds) : '–'} tokens/s`],
    ['validation loss', `${decimal(validation.at(-1)?.loss)} nats`],
    ['unigram, bigram', `${decimal(baselines.unigram)}, ${decimal(baselines.bigram)} nats`],
  ];
  return html`<dl>
    ${entries.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function lossSentence({ validation, baselines }: ReportInput): Markup {
  const loss = validation.at(-1)?.loss;
  if (loss === undefined) return html`<p>No validation yet.</p>`;
  const against = (name: string, bound: number): string =>
    `${decimal(Math.abs(bound - loss))} nats ${loss < bound ? 'below' : 'above'} the ${name}`;
  return html`<p>
    On text it was not trained on the model needs ${decimal(loss)} nats per token: ${against('unigram', baselines.unigram)} and
    ${against('bigram', baselines.bigram)} of the same training tokens.
  </p>`;
}

/** Effect sizes of one finding, a line a layer. */
const EFFECTS = (({ findings: [one, two, three] }: Findings) => ({
  [one.id]: one.layers.map(
    ({ layer, first: { gains, meeting } }) =>
      html`layer ${layer}: gain by token ${inBrackets(gains.token)}, by context ${inBrackets(gains.context)}, κ
      ${inBrackets(meeting.kappa)}; chance 0; n = ${whole(gains.token.n)} tokens`,
  ),
  [two.id]: two.layers.map(
    ({ layer, points, kappaEnd, t50, t80 }) =>
      html`layer ${layer}: half of the map ${between(t50)}, four fifths ${between(t80)}; κ at the end ${inBrackets(kappaEnd)}; chance 0; n =
      ${whole(kappaEnd.n)} tokens, ${points.length} checkpoints`,
  ),
  [three.id]: three.layers.map(
    ({ layer, byGroup: { ratio, order, drift } }) =>
      html`layer ${layer}: last ÷ first quarter ${inBrackets(ratio)}, by order ${inBrackets(order)}, without order ${inBrackets(drift)};
      chance 1; n = ${whole(ratio.n)} groups`,
  ),
})) satisfies (findings: Findings) => Readonly<Record<string, readonly Markup[]>>;

function cards(findings: Findings): Markup {
  const effects = EFFECTS(findings);
  const card = (finding: Findings['findings'][number], i: number): Markup =>
    html`<article class="card">
      <h3>${i + 1}. ${TITLES[finding.id]}</h3>
      <p>${verdictBadge(finding.verdict)}</p>
      <p>${WORDS[finding.id][finding.verdict]}</p>
      ${'token_over_domain' in finding ? html`<p>Token over domain, the weaker claim: ${verdictBadge(finding.token_over_domain)}</p>` : undefined}
      <ul>
        ${effects[finding.id].map((line) => html`<li>${line}</li>`)}
      </ul>
      <p class="note">${NULLS[finding.id]} <a href="#finding-${i + 1}">All of finding ${i + 1}</a></p>
    </article>`;
  const { tokens, sequences, domains, checkpoints } = findings.probe;
  return html`<div class="cards">${findings.findings.map(card)}</div>
    <p class="note">
      Brackets are 95 % intervals. Probe: ${whole(tokens)} held-out tokens in ${whole(sequences)} sequences of ${domains.length}
      domain${domains.length === 1 ? '' : 's'}, the same through ${checkpoints.length} checkpoints; seed ${findings.seed}.
    </p>`;
}

const asShare = (share: number): string => `${Number((share * 100).toFixed(1))}\u00a0%`;

/** A bracket [last below, first at or above] in words. */
export function between([below, reached]: readonly [number | null, number | null]): string {
  if (reached === null) return 'not reached';
  return below === null ? `from ${asShare(reached)} on` : `between ${asShare(below)} and ${asShare(reached)} of training`;
}
