/** openmoe generate: text from a run, as it comes; without a prompt, a line at a time from the terminal or a pipe. */
import { createInterface } from 'node:readline/promises';
import { EXIT, UserError } from '../../base/index.ts';
import {
  DIALECTS,
  type Generated,
  generate as generateText,
  type LanguageModel,
  openLanguageModel,
  type Prompted,
  promptIds,
  type Routed,
  WEIGHT_BITS,
  type WeightType,
} from '../../infer/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { type Answer, command, parseReal, parseWithin, parseWord, required, rest, value, valueOr, values, yes } from '../command.ts';
import { type Asked, type CapacityStep, continuePrompts, explained, explanation, fitted } from '../generating.ts';
import { parseIds } from '../ids.ts';
import { inputLines } from '../input.ts';
import { MODEL } from '../model-reference.ts';
import { openForReading, type ReadingModel } from '../reading-model.ts';
import type { Terminal } from '../terminal.ts';
import { threadsFlag } from '../surroundings.ts';

/** A prompt competes with itself alone, or with the others as in the references. */
const GROUPS = ['prompt', 'batch'] as const;
const MOST = 1_000_000;
const WEIGHT_TYPES = Object.keys(WEIGHT_BITS) as WeightType[];

export const generate = command({
  about: 'Continues prompts with a trained run or a checkpoint, as text or as ids',
  examples: [
    'generate last "The country"',
    'generate otter@best "def main(" --temperature 0.5 --show-experts',
    'generate last < prompts.txt',
    'generate last "One" "Two" --greedy --routing-group batch',
    'generate checkpoints/openmoe-base --ids 0,17,5 --greedy --explain-capacity',
  ],
  args: {
    run: required(MODEL),
    prompts: rest('what to continue; several are continued together; without one lines are read, one after the other'),
  },
  flags: {
    maxTokens: valueOr({ form: '<n>', about: 'tokens to write at most', parse: parseWithin(1, MOST), standard: '128' }),
    temperature: valueOr({
      form: '<t>',
      about: 'how freely to choose; 0 always takes the likeliest',
      parse: parseReal(0, 100),
      standard: '0.8',
    }),
    topP: valueOr({
      form: '<p>',
      about: 'choose among the likeliest tokens that together reach this probability',
      parse: parseReal(0, 1),
      standard: '0.95',
    }),
    topK: valueOr({ form: '<k>', about: 'choose among the k likeliest; 0 for all', parse: parseWithin(0, MOST), standard: '0' }),
    repetitionPenalty: valueOr({
      form: '<x>',
      about: 'logits of tokens that were there before: divided by it where positive, multiplied where negative; 1 for none',
      parse: parseReal(0.01, 100),
      standard: '1',
    }),
    greedy: yes('always take the likeliest token'),
    seed: valueOr({ form: '<n>', about: 'seed of the choices', parse: parseWithin(0, Number.MAX_SAFE_INTEGER), standard: '0' }),
    stop: values({ form: '<text>', about: 'end before this text appears; may be given again' }),
    ids: values({ form: '<ids>', about: 'a prompt as ids, such as 0,17,5, begin-of-sequence included; prints ids; may be given again' }),
    stopId: values({ form: '<id>', about: 'with --ids, end with this id; may be given again' }),
    routingGroup: valueOr({
      form: '<of>',
      about: `what competes for the experts' slots: ${GROUPS.join(' or ')}`,
      parse: parseWord(GROUPS),
      standard: 'prompt',
    }),
    dialect: value({
      form: '<name>',
      about: `groups and capacity as in ${DIALECTS.join(' or ')}; default: as the checkpoint says`,
      parse: parseWord(DIALECTS),
    }),
    withoutCache: yes('keep no keys and values: read all tokens again at each step'),
    explainCapacity: yes('show slots and drops of each step with and without the cache, and where the texts part'),
    truncate: value({ form: '<side>', about: 'left: of a prompt longer than the context, its end is kept', parse: parseWord(['left']) }),
    showExperts: yes('mark each token with the experts that read it, by MoE layer'),
    dtype: valueOr({
      form: '<type>',
      about: `what weights are multiplied as: ${WEIGHT_TYPES.join(', ')}`,
      parse: parseWord(WEIGHT_TYPES),
      standard: 'f32',
    }),
    threads: threadsFlag,
  },
  saves: true,
  async run({ args, flags, terminal, signal }): Promise<Answer> {
    checkFlags(args.prompts, flags);
    const opened = await openForReading(args.run, terminal, flags);
    const group = flags.routingGroup === 'batch' ? 'batch' : 'row';
    const lm = openLanguageModel(opened.model, opened.executor, opened.weights, { group });
    const options = {
      ...flags,
      temperature: flags.greedy ? 0 : flags.temperature,
      stop: flags.stop.filter((text) => text !== ''),
      stopId: flags.stopId.flatMap((text) => parseIds(text, '--stop-id')),
      together: group === 'batch',
      cache: !flags.withoutCache,
    };
    const given = flags.ids.map((text) => parseIds(text, '--ids'));
    const place = { run: opened.run?.dir ?? opened.place, step: opened.step, seed: flags.seed };
    const atOnce = given.length > 0 || args.prompts.length > 1 || flags.withoutCache || flags.explainCapacity || group === 'batch';
    if (atOnce && !flags.showExperts) {
      const texts = given.length > 0 ? [] : args.prompts;
      const tokenizer = given.length > 0 ? undefined : tokenizerOf(opened);
      const fit = { model: opened.model, context: lm.context, ...flags };
      const prompts = (tokenizer ? texts.map((text) => promptIds(tokenizer, text)) : given).map((ids) => fitted(ids, fit));
      const answer = await writeTogether(
        { lm, tokenizer, terminal, signal },
        { texts, prompts },
        { ...options, explain: flags.explainCapacity },
      );
      lm.close();
      return { schema: 'openmoe.generate/1', data: { ...place, ...answer.data }, text: answer.text };
    }
    const writer: Writer = { lm, tokenizer: tokenizerOf(opened), terminal, options, signal };
    const written: Written[] = [];
    if (args.prompts.length > 0) for (const prompt of args.prompts) written.push(await write(writer, prompt));
    else for await (const line of lines(terminal, signal)) written.push(await write(writer, line));
    lm.close();
    return { schema: 'openmoe.generate/1', data: { ...place, generations: written }, text: '' };
  },
});

function checkFlags(
  prompts: readonly string[],
  flags: Readonly<Record<'ids' | 'stopId', readonly string[]>> &
    Readonly<Record<'showExperts' | 'withoutCache' | 'explainCapacity', boolean>> & { readonly routingGroup: string },
): void {
  const refuse = (message: string, hint: string): never => {
    throw new UserError('E_USAGE', EXIT.usage, { message, place: 'openmoe generate', hint });
  };
  if (flags.ids.length > 0 && prompts.length > 0) refuse('a prompt is either text or --ids', 'give one of the two');
  if (flags.stopId.length > 0 && flags.ids.length === 0) refuse('--stop-id belongs to --ids', 'texts end with --stop');
  const asks = flags.routingGroup === 'batch' || flags.withoutCache || flags.explainCapacity || flags.ids.length > 0;
  if (flags.showExperts && asks) refuse('--show-experts marks one text as it is written', 'leave it out, or use inspect --ids-file');
  if (asks && prompts.length + flags.ids.length === 0)
    refuse('these flags need their prompts on the command line', 'add a prompt, or --ids');
}

function tokenizerOf({ tokenizer, place }: ReadingModel): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new UserError('E_NO_TOKENIZER', EXIT.usage, {
    message: 'no tokenizer.json, spiece.model or tokenizer.model stands beside the weights',
    place,
    hint: 'give ids instead of text: --ids 0,17,5',
  });
}

interface Together {
  readonly lm: LanguageModel;
  readonly tokenizer: Tokenizer | undefined;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** All prompts at once; with `explain` both ways, with and without the cache. */
async function writeTogether(
  needs: Together,
  { texts, prompts }: { readonly texts: readonly string[]; readonly prompts: readonly (readonly number[])[] },
  { explain, ...options }: Asked & { readonly explain: boolean },
): Promise<{ readonly data: object; readonly text: string }> {
  const steps: CapacityStep[] = [];
  const rows = await continuePrompts(needs, prompts, options, (step) => steps.push(step));
  const generations = rows.map((row, r) => ({ ...(texts[r] !== undefined && { prompt_text: texts[r] }), ...row }));
  const shown = rows.map((row, r) => (needs.tokenizer ? `${texts[r]}${row.text}\n` : `${row.ids.join(',')}\n`)).join('');
  if (!explain) return { data: { generations }, text: shown };
  const others: CapacityStep[] = [];
  await continuePrompts(needs, prompts, { ...options, cache: !options.cache }, (step) => others.push(step));
  const capacity = options.cache ? explained(steps, others) : explained(others, steps);
  return { data: { generations, capacity }, text: `${shown}\n${explanation(capacity)}` };
}

interface Writer {
  readonly lm: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly terminal: Terminal;
  readonly options: {
    readonly maxTokens: number;
    readonly temperature: number;
    readonly topP: number;
    readonly topK: number;
    readonly repetitionPenalty: number;
    readonly truncate: 'left' | undefined;
    readonly seed: number;
    readonly stop: readonly string[];
    readonly showExperts: boolean;
  };
  readonly signal: AbortSignal;
}

/** Experts of one token: by MoE layer, in order of preference. */
type Experts = readonly { readonly layer: number; readonly experts: readonly number[]; readonly kept: readonly boolean[] }[];

interface Written {
  readonly prompt: string;
  readonly text: string;
  readonly ending: 'eos' | 'stop' | 'length' | 'interrupted';
  readonly tokens: readonly { readonly id: number; readonly text: string; readonly experts: Experts }[];
}

async function write({ lm, tokenizer, terminal, options, signal }: Writer, prompt: string): Promise<Written> {
  const show = (piece: string, experts: Experts): void => terminal.print(options.showExperts ? marked(piece, experts, terminal) : piece);
  const onPrompt = ({ ids, routed }: Prompted): void => {
    if (!options.showExperts) return terminal.print(prompt);
    const decoder = tokenizer.streamDecoder();
    ids.forEach((id, i) => i > 0 && show(decoder.push(id), expertsOf(routed, i)));
  };
  const ids = fitted(promptIds(tokenizer, prompt), { model: lm.model, context: lm.context, ...options });
  const stream = generateText(lm, tokenizer, ids, options, { onPrompt, signal });
  const tokens: Written['tokens'][number][] = [];
  let ending: Written['ending'] = 'interrupted';
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done) {
        ending = next.value;
        break;
      }
      const { id, text, routed }: Generated = next.value;
      const experts = expertsOf(routed, 0);
      tokens.push({ id, text, experts });
      show(text, experts);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  terminal.print('\n');
  return { prompt, text: tokens.map((t) => t.text).join(''), ending, tokens };
}

function expertsOf(routed: readonly Routed[], token: number): Experts {
  return routed.map(({ layer, chosen, kept, tokens }) => {
    const k = chosen.length / tokens;
    return {
      layer,
      experts: [...chosen.subarray(token * k, (token + 1) * k)],
      kept: [...kept.subarray(token * k, (token + 1) * k)].map(Boolean),
    };
  });
}

/** ANSI 256-colour of an expert: hues spread so that neighbours differ. */
const hue = (expert: number): number => 17 + ((expert * 37) % 214);

/** `token⟨3,7 12,0⟩`: experts by layer; a dropped one is in brackets. In colour the token has the hue of its last layer's first expert. */
function marked(piece: string, experts: Experts, terminal: Terminal): string {
  if (experts.length === 0) return piece;
  const note = experts.map((l) => l.experts.map((e, i) => (l.kept[i] ? String(e) : `(${e})`)).join(',')).join(' ');
  const colors = terminal.colors.out;
  if (!colors.isColorSupported) return `${piece}⟨${note}⟩`;
  return `\u001b[38;5;${hue(experts.at(-1)!.experts[0]!)}m${piece}\u001b[39m${colors.dim(`⟨${note}⟩`)}`;
}

/** Lines that are not empty; a person is prompted for each, and may edit it. */
async function* lines(terminal: Terminal, signal: AbortSignal): AsyncGenerator<string> {
  if (!terminal.input.isTTY) {
    for await (const line of inputLines(terminal.input)) if (line !== '') yield line;
    return;
  }
  const reader = createInterface({ input: process.stdin, output: process.stderr, terminal: true, prompt: '> ' });
  const close = (): void => reader.close();
  signal.addEventListener('abort', close);
  terminal.say('write a line and press Enter; Ctrl-D ends');
  reader.prompt();
  for await (const line of reader) {
    if (line !== '') yield line;
    reader.prompt();
  }
  signal.removeEventListener('abort', close);
}
