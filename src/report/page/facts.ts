/** What the numbers stand on: samples, data, probe, environment, recipe, and how to redo each of them. */
import { formatBytes } from '../../base/index.ts';
import type { ProbeFacts } from '../../routing/index.ts';
import { html, type Markup } from '../html.ts';
import type { DataRow, Json, ReportInput } from '../input.ts';
import { percent, whole } from '../numbers.ts';
import { section, table } from './parts.ts';

export const samplesSection = ({ samples }: ReportInput): Markup =>
  section(
    'samples',
    'Samples',
    samples.length === 0
      ? html`<p>No text was generated.</p>`
      : html`<p>Prompts in bold, then what the model wrote.</p>
          ${samples.map(({ prompt, text }) => html`<pre class="sample" dir="auto"><strong>${prompt}</strong>${text}</pre>`)}`,
  );

export const dataSection = ({ data, findings }: ReportInput): Markup =>
  section(
    'data',
    'Data',
    data.length > 0 ? dataTable(data) : html`<p>No table of sources was kept.</p>`,
    findings && probeTable(findings.probe),
  );

function dataTable(data: readonly DataRow[]): Markup {
  const sides = [...new Set(data.flatMap(({ tokens }) => Object.keys(tokens)))];
  const numbers = ['documents', 'bytes', ...sides.map((side) => `${side} tokens`)];
  return table(
    'Sources, licences and sizes by domain',
    [{ name: 'domain' }, { name: 'use' }, ...numbers.map((name) => ({ name, right: true })), { name: 'licence' }, { name: 'origin' }],
    data.map((row) => [
      row.domain,
      row.heldOut ? 'probe only' : 'trained on',
      whole(row.documents),
      formatBytes(row.bytes),
      ...sides.map((side) => whole(row.tokens[side])),
      row.licence,
      row.origin,
    ]),
  );
}

const probeTable = ({ tokens, sequences, groups, blocks, domains, checkpoints }: ProbeFacts): Markup =>
  html`${table(
      `Probe set: ${whole(tokens)} tokens, ${whole(sequences)} sequences, ${whole(groups)} routing groups; ${blocks} jackknife blocks`,
      [{ name: 'domain' }, { name: 'use' }, { name: 'sequences', right: true }, { name: 'tokens', right: true }],
      domains.map((d) => [d.domain, d.heldOut ? 'probe only' : 'trained on', whole(d.sequences), whole(d.tokens)]),
    )}
    <p class="note">Probed checkpoints: ${checkpoints.map(({ step, share }) => `step ${step} (${percent(share)})`).join(', ')}.</p>`;

/** Values by dotted path, lists of plain values in one line. */
export function flattened(json: Json, path = ''): [string, string][] {
  if (json === null || typeof json !== 'object') return [[path, String(json)]];
  if (Array.isArray(json) && json.every((item) => typeof item !== 'object')) return [[path, json.join(' ')]];
  return Object.entries(json as Readonly<Record<string, Json>>).flatMap(([key, value]) => flattened(value, path ? `${path}.${key}` : key));
}

export const environmentSection = ({ environment, recipe }: ReportInput): Markup =>
  section(
    'environment',
    'Environment',
    valueTable('The machine, the versions and the seeds of this run', environment),
    html`<h3>Recipe</h3>`,
    valueTable('The recipe as resolved', recipe),
  );

const valueTable = (caption: string, json: Json): Markup =>
  table(
    caption,
    [{ name: 'key' }, { name: 'value' }],
    flattened(json).map(([key, value]) => [key, html`<code>${value}</code>`]),
  );

export const commandsSection = ({ commands }: ReportInput): Markup =>
  section(
    'redo',
    'Redo each number',
    table(
      'Commands',
      [{ name: 'what' }, { name: 'command' }],
      commands.map(({ what, command }) => [what, html`<code>${command}</code>`]),
    ),
  );
