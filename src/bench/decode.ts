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
const BATCHES = [1, 8, 32] as const;

interface Reading {
  readonly config: keyof typeof DECODE_MODELS;
  /** Sequences written together, or one whose prompt is read. */
  readonly rows: number;
  /** Tokens of a prompt read at once; absent: tokens written one after the other. */
  readonly prompt?: number;
}
const READINGS: readonly Reading[] = (Object.keys(DECODE_MODELS) as (keyof typeof DECODE_MODELS)[]).flatMap((config) => [
  ...BATCHES.map((rows) => ({ config, rows })),
  ...PROMPTS.map((prompt) => ({ config, rows: 1, prompt })),
]);

const nameOf = ({ config, prompt }: Reading): string => `${prompt === undefined ? 'decode' : 'prefill'}, ${config}`;
const shapeOf = ({ rows, prompt }: Reading): string => `${rows}×${prompt ?? WRITTEN}`;
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
  const { config, rows, prompt } = reading;
  const lm = openLanguageModel(model, executor, weights, { context: prompt ?? WRITTEN + 1, routing: false });
  const [work, tokens] = prompt === undefined ? [workOfTokens(model, rows, dtype), rows] : [workOfPrompt(model, prompt, dtype), prompt];
  const run = prompt === undefined ? () => secondsAStep(lm, rows) : () => read(lm, prompt);
  const measured = await measure(executor, run, { seconds: SECONDS, precision: dtype, bytes: model.counts.total * BYTES[dtype] });
  lm.close();
  const named = { name: nameOf(reading), shape: shapeOf(reading), dtype, threads: executor.facts.threads };
  // The peers write one sequence at a time.
  const peer = rows > 1 ? undefined : { name: prompt === undefined ? 'decode' : `prefill_${prompt}`, config };
  return { ...row({ ...named, like: peer }, measured, work), tok_per_s: tokens / measured.median_s };
}

/** One token of every sequence, from the first on. */
async function secondsAStep(lm: LanguageModel, rows: number): Promise<number> {
  const together = lm.beginTogether(rows);
  const ids = (n: number): number[] => Array.from({ length: rows }, (_, r) => (n * rows + r) % lm.model.config.vocab);
  await together.step(ids(0));
  const from = performance.now();
  for (let n = 1; n <= WRITTEN; n++) await together.step(ids(n));
  return (performance.now() - from) / 1000 / WRITTEN;
}

async function read(lm: LanguageModel, prompt: number): Promise<void> {
  const sequence = lm.begin();
  await sequence.extend(Array.from({ length: prompt }, (_, n) => n + 1));
}

/** Bytes of a weight, scales included. */
const BYTES: Readonly<Record<Precision, number>> = { f32: 4, bf16: 2, int8: 34 / 32, int4: 18 / 32 };

/** What every token multiplies once, of the experts those that any row chose (as if by chance), and the caches. */
function workOfTokens({ counts, config: c }: Model, rows: number, dtype: Precision): Work {
  const expert = 4 * c.hidden * c.inner;
  const [chosen, distinct] = [c.topK, c.experts * (1 - (1 - c.topK / c.experts) ** rows)];
  const weights = counts.active + c.layers * (distinct - chosen) * expert;
  const caches = 4 * 2 * rows * c.layers * (WRITTEN / 2) * c.heads * c.headSize;
  return { flops: 2 * rows * counts.active, read: weights * BYTES[dtype] + caches, written: 0 };
}

/** All weights once, whatever the experts; the head multiplies the last token only; causal attention is half of the square. */
function workOfPrompt({ counts, config: c }: Model, tokens: number, dtype: Precision): Work {
  const head = c.hidden * c.vocab;
  const attention = 2 * c.layers * tokens ** 2 * c.heads * c.headSize;
  return { flops: 2 * (counts.active - head) * tokens + 2 * head + attention, read: (counts.total - head) * BYTES[dtype], written: 0 };
}
