/** openmoe report: one offline HTML file with everything that a run shows about its routers. */
import { writeAtomic } from '../../runs/index.ts';
import { type Answer, command, required } from '../command.ts';
import { historyOf, type Sample } from '../history.ts';
import { findingsOf } from '../probing.ts';
import { reopen } from '../reopened.ts';
import { baselinesOf, reportPage } from '../report-page.ts';
import { shownPath, threadsFlag } from '../surroundings.ts';
import { findingLines, findingsJson } from '../verdicts.ts';

export const report = command({
  about: 'Probes the checkpoints of a run and writes report.html: findings, loss, load, drops, domains, tokens, samples',
  examples: ['report last', 'report otter@1000 --json'],
  args: { run: required('a run: last, its id or a part of it, a folder; @step takes that step for the end') },
  flags: { threads: threadsFlag },
  saves: true,
  async run({ args, flags, terminal, signal }): Promise<Answer> {
    const opened = await reopen(args.run, terminal, { threads: flags.threads, signal });
    const { run, recipe, dataset, tokenizer, step } = opened;
    const history = await historyOf(run);
    const findings = await findingsOf({ ...opened, terminal, signal }, { last: step, validation: history.validation });
    const samples = (await run.readLines('samples.jsonl')).map(({ value }) => value as Sample);
    const counted = baselinesOf(dataset, recipe, { vocab: tokenizer.vocabSize, steps: step });
    const path = run.path('report.html');
    await writeAtomic(path, await reportPage({ ...opened, history, findings, samples, baselines: counted }));
    const data = {
      run: run.dir,
      step,
      baselines: { unigram: counted.unigram, bigram: counted.bigram },
      findings: findingsJson(findings),
      report: path,
    };
    return { schema: 'openmoe.report/1', data, text: `${findingLines(findings)}report ${shownPath(path)}\n` };
  },
});
