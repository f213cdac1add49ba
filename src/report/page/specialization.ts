/** Finding 1 in full: verdicts, gains, meeting table and margins of every layer. */
import type { SpecializationFinding, SpecializationLayer, Tables } from '../../routing/index.ts';
import { intervalsChart, type Row } from '../charts/intervals.ts';
import { html, type Markup } from '../html.ts';
import { decimal, percent, whole } from '../numbers.ts';
import { dataOf, ESTIMATE_COLUMNS, estimateCells, figures, inBrackets, judgement, section, table, verdictBadge } from './parts.ts';
import { NULLS, TITLES } from './words.ts';

const GAINS = {
  token: 'gain by token',
  domain: 'gain by domain',
  position: 'gain by position',
  domainGivenToken: 'domain, given token',
  context: 'context, given token',
  unexplained: 'unexplained',
  accuracy: 'accuracy by token',
} as const satisfies Record<keyof Tables['gains'], string>;

const CELLS = {
  ss: 'same token, sequence',
  sd: 'same token, domain',
  od: 'same token, other domain',
  oss: 'other token, sequence',
  osd: 'other token, domain',
  ood: 'other token, other domain',
  odRepeated: 'od of repeated ids',
  kappa: 'κ',
} as const satisfies Record<keyof Tables['meeting'], string>;

/** Drawn: unexplained and accuracy have other chances and would only stretch the axis; they stand in the table. */
const DRAWN = ['token', 'domain', 'position', 'domainGivenToken', 'context'] as const;

export function specializationSection(finding: SpecializationFinding, command: string): Markup {
  const intro = html`<p>
      Is an expert chosen for the token itself, or for the text around it? Two measures must agree. <b>Gains</b>: the share of the choice
      that can be predicted, from other sequences, by knowing the token, its domain, its position or its context. <b>Meetings</b>: how often
      two tokens share their first expert.
    </p>
    <p>Context-independent: ${verdictBadge(finding.verdict)} Token over domain: ${verdictBadge(finding.token_over_domain)}</p>
    <p class="note">${NULLS[finding.id]} Intervals: delete-one-block jackknife over sequences.</p>`;
  return section('finding-1', `Finding 1: ${TITLES[finding.id]}`, intro, ...finding.layers.map((layer) => layerPart(layer, command)));
}

function layerPart({ layer, first, second, ...of }: SpecializationLayer, command: string): Markup {
  const gains = DRAWN.map((key): Row => ({ label: GAINS[key], estimate: first.gains[key] }));
  const cells = Object.entries(CELLS).map(([key, label]): Row => ({ label, estimate: first.meeting[key as keyof typeof CELLS] }));
  const charts = [
    intervalsChart(`Gains, layer ${layer}`, gains, { label: 'share of the choice predicted', type: 'linear' }),
    intervalsChart(`Meetings, layer ${layer}`, cells, { label: 'pairs that share their first expert', type: 'linear' }),
  ];
  return html`<h3>Layer ${layer}</h3>
    ${judgement('Context-independent', of)}${judgement('Token over domain', of.token_over_domain)} ${figures(charts, command)}
    ${meetingTable(layer, first)} ${estimates(layer, first)}
    ${
      second
        ? html`<details>
            <summary>Second choices of layer ${layer}, shown without verdict</summary>
            ${meetingTable(layer, second)}${estimates(layer, second)}
          </details>`
        : undefined
    }`;
}

const rankOf = ({ rank }: Tables): string => (rank === 0 ? 'first choices' : rank === 1 ? 'second choices' : `choices of rank ${rank + 1}`);

function meetingTable(layer: number, tables: Tables): Markup {
  const { meeting, coverage, coverageRepeated } = tables;
  return table(
    `Meeting table of layer ${layer}, ${rankOf(tables)}: share of pairs with one expert [95 % interval]. Chance is the last cell. ` +
      `It covers ${percent(coverage)} of the tokens (n = ${whole(meeting.sd.n)}), its first column ${percent(coverageRepeated)} (n = ${whole(meeting.ss.n)}).`,
    [{ name: 'two tokens' }, ...['same sequence', 'same domain, other sequence', 'other domain'].map((name) => ({ name, right: true }))],
    [
      ['same token id', inBrackets(meeting.ss), inBrackets(meeting.sd), inBrackets(meeting.od)],
      ['other token id', inBrackets(meeting.oss), inBrackets(meeting.osd), inBrackets(meeting.ood)],
    ],
  );
}

const MARGINS = {
  bits: 'token − context, bits',
  halfBits: '½·token − context, bits',
  meetings: 'token − context, meetings',
  halfMeetings: '½·token − context, meetings',
} as const;

function estimates(layer: number, tables: Tables): Markup {
  const marginRows = (name: string, margins: Tables['contextIndependent']) =>
    Object.entries(MARGINS).map(([key, label]) => ({ label: `${name}: ${label}`, estimate: margins[key as keyof typeof MARGINS] }));
  const rows = [
    ...Object.entries(GAINS).map(([key, label]) => ({ label, estimate: tables.gains[key as keyof typeof GAINS] })),
    { label: 'κ: what the token id alone fixes', estimate: tables.meeting.kappa },
    ...marginRows('context-independent', tables.contextIndependent),
    ...marginRows('token over domain', tables.tokenOverDomain),
  ];
  const title = `Numbers of layer ${layer}, ${rankOf(tables)}`;
  return html`${table(
    `${title}; n tokens. The loads alone leave ${decimal(tables.bits)} bits of each choice open. A verdict holds when both ½·token − context are above 0 with their whole intervals.`,
    [{ name: 'quantity' }, ...ESTIMATE_COLUMNS],
    rows.map(({ label, estimate }) => [label, ...estimateCells(estimate)]),
  )}${dataOf(title, {
    columns: ['layer', 'rank', 'quantity', 'value', 'low', 'high', 'chance', 'n'],
    rows: rows.map(({ label, estimate: { value, low, high, chance, n } }) => [layer, tables.rank, label, value, low, high, chance, n]),
  })}`;
}
