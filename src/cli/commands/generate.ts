/** openmoe generate: text from a run, as it comes; without a prompt, a line at a time from the terminal or a pipe. */
import { createInterface } from 'node:readline/promises';
import {
  type Generated,
  generate as generateText,
  type LanguageModel,
  openLanguageModel,
  type Prompted,
  type Routed,
  WEIGHT_BITS,
  type WeightType,
} from '../../infer/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { type Answer, command, optional, parseReal, parseWithin, parseWord, required, valueOr, values, yes } from '../command.ts';
import { inputLines } from '../input.ts';
import type { Terminal } from '../terminal.ts';
import { threadsFlag } from '../surroundings.ts';
import { openForReading } from '../trained.ts';

const MOST = 1_000_000;
const WEIGHT_TYPES = Object.keys(WEIGHT_BITS) as WeightType[];

export const generate = command({
  about: 'Writes text with a trained run',
  examples: [
    'generate last "The country"',
    'generate otter@best "def main(" --temperature 0.5 --show-experts',
    'generate last < prompts.txt',
  ],
  args: {
    run: required('the run: last, an id or part of one, a folder; @step or @best picks a checkpoint'),
    prompt: optional('what to continue; without it lines are read, one after the other'),
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
    greedy: yes('always take the likeliest token'),
    seed: valueOr({ form: '<n>', about: 'seed of the choices', parse: parseWithin(0, Number.MAX_SAFE_INTEGER), standard: '0' }),
    stop: values({ form: '<text>', about: 'end before this text appears; may be given again' }),
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
    const trained = await openForReading(args.run, terminal, flags);
    const lm = openLanguageModel(trained.model, trained.executor, trained.weights);
    const options = { ...flags, temperature: flags.greedy ? 0 : flags.temperature, stop: flags.stop.filter((text) => text !== '') };
    const writer: Writer = { lm, tokenizer: trained.tokenizer, terminal, options, signal };
    const written: Written[] = [];
    if (args.prompt !== undefined) written.push(await write(writer, args.prompt));
    else for await (const line of lines(terminal, signal)) written.push(await write(writer, line));
    lm.close();
    const data = { run: trained.run.dir, step: trained.step, seed: flags.seed, generations: written };
    return { schema: 'openmoe.generate/1', data, text: '' };
  },
});

interface Writer {
  readonly lm: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly terminal: Terminal;
  readonly options: {
    readonly maxTokens: number;
    readonly temperature: number;
    readonly topP: number;
    readonly topK: number;
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
  const stream = generateText(lm, tokenizer, prompt, options, { onPrompt, signal });
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
