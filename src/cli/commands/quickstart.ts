/** openmoe quickstart: the whole path at once: corpus, tokenizer, training, probe, report, generated text. */
import { formatCount, formatDuration, formatShare } from '../../base/index.ts';
import type { MachineExecutor } from '../../exec/index.ts';
import type { Run } from '../../runs/index.ts';
import { askedFor, deadlineIn, inAskedRun, isaFlag, maxTimeFlag, resumeFlag, runFlag, seedFlag } from '../asked.ts';
import { type Answer, command, rest } from '../command.ts';
import { historyNumbers, historyOf, type Sample } from '../history.ts';
import { findingsOf } from '../probing.ts';
import { baselinesOf, reportPage } from '../report-page.ts';
import { samplesOf } from '../samples.ts';
import { chosenThreads, quoted, resumeCommand, runsRoot, shownPath, threadsFlag } from '../surroundings.ts';
import type { Terminal } from '../terminal.ts';
import { sessionNumbers, type Trained, trainIn } from '../training.ts';
import { findingLines, findingsJson } from '../verdicts.ts';

export const quickstart = command({
  about: 'Trains a small Mixture of Experts on real text in about two minutes, writes its routing report, and lets it speak',
  examples: ['quickstart', 'quickstart --seed 1 --run runs/first', 'quickstart train.steps=50 --json'],
  args: { settings: rest('key=value changes a setting of the recipe, as for train') },
  flags: { run: runFlag, resume: resumeFlag, allowIsaChange: isaFlag, threads: threadsFlag, maxTime: maxTimeFlag, seed: seedFlag },
  saves: true,
  streams: true,
  async run({ args, flags, terminal, signal }): Promise<Answer> {
    const started = performance.now();
    const deadline = deadlineIn(flags.maxTime);
    const asked = await askedFor({ recipe: 'quickstart', implied: true, ...args, ...flags, root: runsRoot(terminal.env) });
    const threads = chosenThreads(flags.threads, terminal.env).count;
    const done = await inAskedRun(
      { ...asked, allowIsaChange: flags.allowIsaChange, dir: flags.run, tags: ['quickstart'], threads, terminal, signal },
      async (run, executor) => {
        const trained = await trainIn(run, { ...asked, executor, terminal, signal, deadline });
        const measured = trained.state === 'finished' ? await measure(run, trained, { executor, terminal, signal }) : undefined;
        return { ...trained, dir: run.dir, measured, history: await historyOf(run) };
      },
    );
    return answer(done, (performance.now() - started) / 1000);
  },
});

type Measured = Awaited<ReturnType<typeof measure>>;
type Done = Trained & {
  readonly dir: string;
  readonly measured: Measured | undefined;
  readonly history: Awaited<ReturnType<typeof historyOf>>;
};

/** What follows training: probe, baselines, samples, page. */
async function measure(
  run: Run,
  trained: Trained,
  { executor, terminal, signal }: { executor: MachineExecutor; terminal: Terminal; signal: AbortSignal },
) {
  const history = await historyOf(run);
  const findings = await findingsOf(
    { ...trained, run, executor, terminal, signal },
    { last: trained.step, validation: history.validation },
  );
  terminal.say('counting unigrams and bigrams, generating, writing the report');
  const counted = baselinesOf(trained.dataset, trained.recipe, { vocab: trained.tokenizer.vocabSize, steps: trained.step });
  const samples = await samplesOf(run, trained, { executor, signal });
  await run.write('samples.jsonl', samples.map((s) => `${JSON.stringify({ step: trained.step, ...s })}\n`).join(''));
  await run.write('report.html', await reportPage({ ...trained, run, history, findings, samples, baselines: counted }));
  return { findings, samples, baselines: counted, report: run.path('report.html') };
}

function answer({ dir, state, measured, history, ...trained }: Done, seconds: number): Answer {
  const whole = historyNumbers(history);
  const { params, share_of_peak, tok_per_s, steps } = sessionNumbers(trained);
  const data = {
    run: dir,
    state,
    seconds,
    step: whole.step,
    steps,
    tokens: whole.tokens,
    params,
    loss: { train: whole.train, val: whole.val, unigram: measured?.baselines.unigram ?? null, bigram: measured?.baselines.bigram ?? null },
    val_by_domain: whole.val_by_domain,
    tok_per_s: tok_per_s ?? whole.tok_per_s,
    share_of_peak,
    findings: findingsJson(measured?.findings),
    samples: measured?.samples ?? [],
    report: measured?.report ?? null,
    resume: state === 'stopped' ? resumeCommand(dir, ['quickstart']) : null,
  };
  return { schema: 'openmoe.quickstart/1', data, text: measured ? summary(data, measured) : `stopped at step ${whole.step} of ${steps}\n` };
}

interface Summarized {
  readonly run: string;
  readonly seconds: number;
  readonly tokens: number;
  readonly params: { readonly total: number; readonly active: number };
  readonly loss: Readonly<Record<'train' | 'val' | 'unigram' | 'bigram', number | null>>;
  readonly tok_per_s: number | null;
  readonly share_of_peak: number | null;
}

function summary(
  { run, seconds, tokens, params, loss, tok_per_s, share_of_peak }: Summarized,
  { findings, samples, report }: Measured,
): string {
  const nats = (x: number | null): string => x?.toFixed(3) ?? '–';
  const dir = quoted(shownPath(run));
  return [
    `\n${formatCount(params.total)} weights, ${formatCount(params.active)} of them active per token; ${formatCount(tokens)} tokens in ${formatDuration(seconds)}`,
    `${tok_per_s === null ? '' : `${formatCount(tok_per_s)} tok/s`}${share_of_peak === null ? '' : `, ${formatShare(share_of_peak)} of this machine's peak`}`,
    `validation loss ${nats(loss.val)} nats per token (training ${nats(loss.train)}, unigram ${nats(loss.unigram)}, bigram ${nats(loss.bigram)})\n`,
    findingLines(findings),
    ...samples.map(spoken),
    `report: ${shownPath(report)}\n`,
    'next:',
    `  npx openmoe generate ${dir} --show-experts`,
    `  npx openmoe inspect ${dir} load`,
    '  npx openmoe train small --dry-run',
    '',
  ].join('\n');
}

const spoken = ({ prompt, text }: Sample): string => `» ${prompt}${text}\n`;
