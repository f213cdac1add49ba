/** Reading prompts and writing tokens, on models as large as the peers': as many weights, as many of them active for a token. */
import {
  type Buffer,
  type MachineExecutor,
  type DecoderConfig,
  type LanguageModel,
  type Model,
  openLanguageModel,
  openmoe,
  OPENMOE_DEFAULTS,
  packModel,
  type PackedBits,
  type Weights,
} from '../infer/index.ts';
import { measure, type Precision } from './measure.ts';
import { row, type Row, type Work } from './row.ts';
import { weightsOf } from './weights.ts';

/**
 * The peers' models have 16 experts of three matrices and width F in every layer, and no other feed-forward. 23 experts of width F ÷ 2 with
 * OpenMoE's four matrices, and the extra feed-forward of that width, are as many weights (48·H·F a layer) and as many active ones (6·H·F).
 */
const like = (vocab: number, hidden: number, inner: number, layers: number): DecoderConfig => ({
  ...OPENMOE_DEFAULTS,
  vocab,
  hidden,
  inner: inner / 2,
  layers,
  heads: hidden / 64,
  headSize: 64,
  moeInterval: 1,
  experts: 23,
  maxPositions: 4096,
});
export const DECODE_MODELS = { '113m': like(4096, 512, 512, 8), '800m': like(32_000, 768, 1632, 12) } as const;

/** New tokens of one run, from an almost empty cache, as llama-bench does it. */
const WRITTEN = 64;
const PROMPTS = [512, 2048] as const;

interface Reading {
  readonly config: keyof typeof DECODE_MODELS;
  /** Tokens of a prompt read at once; absent: tokens written one after the other. */
  readonly prompt?: number;
}
const READINGS: readonly Reading[] = (Object.keys(DECODE_MODELS) as (keyof typeof DECODE_MODELS)[]).flatMap((config) => [
  { config },
  ...PROMPTS.map((prompt) => ({ config, prompt })),
]);

const nameOf = ({ config, prompt }: Reading): string => `${prompt === undefined ? 'decode' : 'prefill'}, ${config}`;
const shapeOf = ({ prompt }: Reading): string => (prompt === undefined ? `1×${WRITTEN}` : `1×${prompt}`);
const title = (r: Reading): string => `${nameOf(r)} ${shapeOf(r)}`;

/** Names with their shapes: what a filter is looked for in. */
export const decodeTitles = (): readonly string[] => READINGS.map(title);

/** Measures those whose name and shape contain `filter`. */
export async function* benchDecode(executor: MachineExecutor, filter: string, dtype: Precision): AsyncGenerator<Row> {
  for (const config of Object.keys(DECODE_MODELS) as (keyof typeof DECODE_MODELS)[]) {
    const wanted = READINGS.filter((r) => r.config === config && title(r).includes(filter));
    if (wanted.length === 0) continue;
    const model = openmoe(DECODE_MODELS[config]);
    const weights = await madeUp(model, executor, dtype);
    for (const reading of wanted) yield await measureReading(executor, { reading, model, weights, dtype });
  }
}

const BITS: Readonly<Record<Precision, PackedBits | undefined>> = { f32: undefined, bf16: 16, int8: 8, int4: 4 };

async function madeUp(model: Model, executor: MachineExecutor, dtype: Precision): Promise<Weights> {
  const values = weightsOf(model);
  const shapes = new Map(model.list.map(({ path, shape }) => [path, shape]));
  const put = (path: string): Buffer => executor.put(values.get(path)!, { dtype: 'f32', shape: shapes.get(path)! });
  const bits = BITS[dtype];
  return bits ? packModel(model, executor, put, bits) : Object.fromEntries(model.list.map(({ path }) => [path, put(path)]));
}

interface Bench {
  readonly reading: Reading;
  readonly model: Model;
  readonly weights: Weights;
  readonly dtype: Precision;
}

const SECONDS = 2;

async function measureReading(executor: MachineExecutor, { reading, model, weights, dtype }: Bench): Promise<Row> {
  const { config, prompt } = reading;
  const lm = openLanguageModel(model, executor, weights, { context: prompt ?? WRITTEN + 1, routing: false });
  const [work, tokens] = prompt === undefined ? [workOfToken(model, dtype), 1] : [workOfPrompt(model, prompt, dtype), prompt];
  const run = prompt === undefined ? () => secondsAToken(lm) : () => read(lm, prompt);
  const measured = await measure(executor, run, { seconds: SECONDS, precision: dtype, bytes: model.counts.total * BYTES[dtype] });
  lm.close();
  const named = { name: nameOf(reading), shape: shapeOf(reading), dtype, threads: executor.facts.threads };
  const peer = { name: prompt === undefined ? 'decode' : `prefill_${prompt}`, config };
  return { ...row({ ...named, like: peer }, measured, work), tok_per_s: tokens / measured.median_s };
}

/** Greedy from the first token on. */
async function secondsAToken(lm: LanguageModel): Promise<number> {
  const sequence = lm.begin();
  await sequence.extend([0]);
  const from = performance.now();
  for (let n = 0; n < WRITTEN; n++) await sequence.extend([n + 1]);
  const seconds = (performance.now() - from) / 1000;
  return seconds / WRITTEN;
}

async function read(lm: LanguageModel, prompt: number): Promise<void> {
  const sequence = lm.begin();
  await sequence.extend(Array.from({ length: prompt }, (_, n) => n + 1));
}

/** Bytes of a weight, scales included. */
const BYTES: Readonly<Record<Precision, number>> = { f32: 4, bf16: 2, int8: 34 / 32, int4: 18 / 32 };

/** The active weights and the cache once. */
function workOfToken({ counts, config }: Model, dtype: Precision): Work {
  const cache = 4 * 2 * config.layers * (WRITTEN / 2) * config.heads * config.headSize;
  return { flops: 2 * counts.active, read: counts.active * BYTES[dtype] + cache, written: 0 };
}

/** All weights once, whatever the experts; the head multiplies the last token only; causal attention is half of the square. */
function workOfPrompt({ counts, config: c }: Model, tokens: number, dtype: Precision): Work {
  const head = c.hidden * c.vocab;
  const attention = 2 * c.layers * tokens ** 2 * c.heads * c.headSize;
  return { flops: 2 * (counts.active - head) * tokens + 2 * head + attention, read: (counts.total - head) * BYTES[dtype], written: 0 };
}
