/** openmoe tokenizer compare: how finely tokenizers cut texts, by domain and language. */
import { EXIT, UserError } from '../../base/index.ts';
import { type FertilityRow, tokenizersView } from '../../report/index.ts';
import { writeAtomic } from '../../runs/index.ts';
import { breathing, type FertilityMeter, fertilityMeter, wordCount } from '../../text/index.ts';
import { type Answer, command, parseText, rest, value, values } from '../command.ts';
import { shownPath } from '../surroundings.ts';
import { TEXT_FORMS, textSource } from '../text-source.ts';
import { TOKENIZER_FORMS, tokenizerOf } from '../tokenizer-reference.ts';

export const compare = command({
  about:
    'Compares tokenizers: bytes a token, tokens a word, unknown tokens and bytes, share of the vocabulary used, by domain and language',
  examples: [
    'tokenizer compare old.json new.model --on texts',
    'tokenizer compare last other.json --on news.de.txt news.fr.txt --chart tokenizers.svg',
  ],
  args: { tokenizers: rest(TOKENIZER_FORMS) },
  flags: {
    on: values({ form: '<texts...>', about: TEXT_FORMS }),
    chart: value({
      form: '<file>',
      about: 'writes bytes per token as a picture (.svg), and all numbers beside it (.csv)',
      parse: parseText,
    }),
  },
  saves: true,
  async run({ args: { tokenizers }, flags: { on, chart }, terminal, signal }): Promise<Answer> {
    checkAsked({ tokenizers, on, chart });
    const loaded = [];
    for (const ref of tokenizers) loaded.push({ ref, tokenizer: await tokenizerOf(ref, terminal) });
    const wordsIn = remembering(wordCount());
    const meters = loaded.map(({ ref, tokenizer }) => ({ ref, tokenizer, meter: fertilityMeter(tokenizer, wordsIn) }));
    const groups = await measure(
      on,
      meters.map(({ meter }) => meter),
      signal,
    );
    const rows = groups.flatMap(([key, group]): FertilityRow[] =>
      meters.map(({ ref, meter }) => ({ tokenizer: ref, ...group, fertility: meter.groups.get(key)! })),
    );
    const view = tokenizersView(
      rows,
      meters.map(({ ref, tokenizer, meter }) => ({ tokenizer: ref, pieces: tokenizer.vocabSize, used: meter.used() })),
    );
    const files = chart === undefined ? undefined : { svg: chart, csv: chart.replace(/\.svg$/, '.csv') };
    if (files) {
      await writeAtomic(files.svg, view.svg);
      await writeAtomic(files.csv, view.csv);
      terminal.say(`${shownPath(files.svg)} · ${shownPath(files.csv)}`);
    }
    return { schema: 'openmoe.tokenizer-compare/1', data: { ...view.json, ...(files && { files }) }, text: view.text };
  },
});

function checkAsked({ tokenizers, on, chart }: { tokenizers: readonly string[]; on: readonly string[]; chart: string | undefined }): void {
  const usage = (message: string, hint: string): UserError =>
    new UserError('E_USAGE', EXIT.usage, { message, place: 'openmoe tokenizer compare', hint });
  if (tokenizers.length === 0) throw usage('which tokenizers?', TOKENIZER_FORMS);
  const twice = tokenizers.find((ref, i) => tokenizers.indexOf(ref) < i);
  if (twice !== undefined) throw usage(`${twice} is there twice`, 'name each tokenizer once');
  if (on.length === 0) throw usage('on which texts?', `--on ${TEXT_FORMS}`);
  if (chart !== undefined && !chart.endsWith('.svg')) throw usage(`${chart} does not end in .svg`, '--chart tokenizers.svg');
}

interface Group {
  readonly domain: string;
  readonly language: string;
}

/** Encodes every document with every tokenizer; domains and languages in alphabetical order, with the meters' names of them. */
async function measure(
  on: readonly string[],
  meters: readonly FertilityMeter[],
  signal: AbortSignal,
): Promise<(readonly [string, Group])[]> {
  const breathe = breathing(signal);
  const groups = new Map<string, Group>();
  for await (const { domain, text, language = '' } of (await textSource(on)).documents()) {
    const key = `${domain}\0${language}`;
    groups.set(key, { domain, language });
    for (const meter of meters) meter.add(key, text);
    await breathe();
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The words of a text are counted once, whatever the number of tokenizers. */
function remembering(wordsIn: (text: string) => number): (text: string) => number {
  let [last, words] = ['', 0];
  return (text) => {
    if (text !== last) [last, words] = [text, wordsIn(text)];
    return words;
  };
}
