/** The report of a run: one HTML file that needs no network, no script and no other file. */
import { html } from './html.ts';
import type { ReportInput } from './input.ts';
import { dropsSection } from './page/drops.ts';
import { earlySection } from './page/early.ts';
import { expertsSection } from './page/experts.ts';
import { commandsSection, dataSection, environmentSection, samplesSection } from './page/facts.ts';
import { page } from './page/page.ts';
import { specializationSection } from './page/specialization.ts';
import { summarySection } from './page/summary.ts';
import { trainingSection } from './page/training.ts';

const CONTENTS = {
  summary: 'Summary',
  'finding-1': 'Finding 1',
  'finding-2': 'Finding 2',
  'finding-3': 'Finding 3',
  training: 'Training',
  experts: 'Experts',
  samples: 'Samples',
  data: 'Data',
  environment: 'Environment',
  redo: 'Redo each number',
} as const;
const OF_FINDINGS: readonly string[] = ['finding-1', 'finding-2', 'finding-3', 'experts'];

/** Pure: equal inputs give equal bytes. Whatever comes from corpora, models or recipes is escaped. */
export function report(input: ReportInput): string {
  const { run, findings } = input;
  const [all, load] = [`npx openmoe report ${quoted(run.dir)}`, `npx openmoe inspect ${quoted(run.dir)} load`];
  const links = Object.entries(CONTENTS).filter(([id]) => findings || !OF_FINDINGS.includes(id));
  const body = html`<a class="skip" href="#main">Skip to the report</a>
    <header>
      <h1>${run.id}</h1>
      <p class="quiet">Routing report of openmoe · ${run.dir}</p>
    </header>
    <nav aria-label="Sections">
      <ul>
        ${links.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`)}
      </ul>
    </nav>
    <main id="main" tabindex="-1">
      ${summarySection(input)}
      ${findings && html`${specializationSection(findings.findings[0], all)}${earlySection(findings.findings[1], all)}${dropsSection(findings.findings[2], all)}`}
      ${trainingSection(input, all)} ${findings && expertsSection(findings.layers, input.pieceOf, { load, all })}
      ${samplesSection(input)}${dataSection(input)}${environmentSection(input)}${commandsSection(input)}
    </main>
    <footer>
      <p class="note">
        Numbers in brackets are 95 % intervals. – means that nothing could be counted. The CSV under each chart holds its numbers in full
        precision.
      </p>
    </footer>`;
  return page(`${run.id}: routing report`, body);
}

/** As a shell reads it. */
const quoted = (path: string): string => (/^[\w./@:-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);
