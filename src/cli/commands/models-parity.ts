/** openmoe models parity: this engine beside the references, on fixtures that they computed. */
import { EXIT, inColumns } from '../../base/index.ts';
import { openExecutor } from '../../exec/index.ts';
import { openFixtures, type Report, type Row, runParity } from '../../parity/index.ts';
import { type Answer, command, required, yes } from '../command.ts';
import { chosenThreads, threadsFlag } from '../surroundings.ts';

export const parity = command({
  about:
    'Runs reference fixtures through this engine and prints, by fixture and quantity, the largest difference, the tolerance and the verdict',
  examples: ['models parity fixtures/torch', 'models parity fixtures/jax --json', 'models parity fixtures --markdown'],
  args: { dir: required('a folder in the form of the fixtures of the references (docs/fidelity.md), or one that holds such folders') },
  flags: { markdown: yes('a table for docs/fidelity.md, one line a fixture'), threads: threadsFlag },
  async run({ args: { dir }, flags, terminal }): Promise<Answer> {
    const executor = openExecutor({ threads: chosenThreads(flags.threads, terminal.env).count });
    const folder = await openFixtures(dir);
    const onRows = (rows: readonly Row[]): void => {
      for (const r of rows.filter((row) => row.verdict !== 'pass'))
        terminal.say(`${r.verdict}: ${r.fixture}, ${r.quantity}${r.reason ? `: ${r.reason}` : ''}`);
    };
    const report = await runParity(folder, executor, { onRows });
    executor.close();
    const text = flags.markdown ? markdown(report) : table(report);
    return { schema: 'openmoe.parity/1', data: report, text, ...(report.ok ? {} : { exit: EXIT.checkFailed }) };
  },
});

const HEADS = ['fixture', 'quantity', 'absolute', 'relative', 'decisions differ', 'tolerance', 'verdict'];

function table({ rows, not_covered: left }: Report): string {
  const lines = rows.map((r) => [
    r.fixture,
    r.quantity,
    shown(r.max_abs),
    shown(r.max_rel),
    String(r.decisions_differ),
    allowed(r),
    r.verdict,
  ]);
  const failed = rows.filter((r) => r.verdict !== 'pass');
  const summary = `${rows.length} rows of ${new Set(rows.map((r) => r.fixture)).size} fixtures, ${failed.length} out of tolerance or not run\n`;
  const uncovered = left.length > 0 ? `not covered:\n${left.map((f) => `  ${f}\n`).join('')}` : '';
  const reasons = failed.flatMap((r) => (r.reason ? [`${r.fixture}: ${r.reason}\n`] : [])).join('');
  return `${inColumns([HEADS, ...lines], { right: [2, 3, 4] })}\n${summary}${reasons}${uncovered}`;
}

const shown = (x: number | null): string => (x === null ? '–' : x === 0 ? '0' : x.toExponential(1));
const allowed = ({ measure, tolerance }: Row): string => (measure === 'equal' ? 'equal' : `${tolerance} ${measure}`);

/** One line a fixture: each number with its difference in the measure of its tolerance, decisions that were equal by name. */
function markdown({ rows, not_covered: left }: Report): string {
  const fixtures = new Map<string, Row[]>();
  for (const row of rows) fixtures.set(row.fixture, [...(fixtures.get(row.fixture) ?? []), row]);
  const lines = [...fixtures].map(([fixture, list]) => {
    const numbers = list
      .filter((r) => r.measure !== 'equal')
      .map((r) => `${r.quantity} ${difference(r)}${r.verdict === 'pass' ? '' : ` **${r.verdict}**`}`);
    const equal = list.filter((r) => r.measure === 'equal' && r.verdict === 'pass').map((r) => r.quantity);
    const unequal = list
      .filter((r) => r.measure === 'equal' && r.verdict !== 'pass')
      .map((r) => `**${r.quantity}: ${r.reason ?? `${r.decisions_differ} differ`}**`);
    return `| ${fixture} | ${numbers.join(' · ') || '–'} | ${[...equal, ...unequal].join(', ') || '–'} |`;
  });
  const uncovered = left.length > 0 ? `\nNot covered: ${left.map((f) => `\`${f}\``).join(', ')}.\n` : '';
  return `| fixture | largest differences | equal |\n|---|---|---|\n${lines.join('\n')}\n${uncovered}`;
}

const difference = (r: Row): string => {
  const x = r.measure === 'absolute' ? r.max_abs : r.max_rel;
  return x === null ? '∞' : x === 0 ? '0' : x.toExponential(1);
};
