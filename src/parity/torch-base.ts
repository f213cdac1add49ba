/** A model at its real size whose weights are made by formula, one tensor after another.   T tokens, V vocabulary, H hidden. */
import { EXIT, UserError } from '../base/index.ts';
import { modelOf, placeOf, readConfig } from '../checkpoints/index.ts';
import { crc32Of, formulaValues } from './formula.node.ts';
import { readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Numbers, type Sheet, type Tolerance } from './row.ts';
import { evaluate, logZ, parameterSpecs, part, type Results, routed } from './running.ts';
import type { Opened } from './torch-forward.ts';
import { asTorch } from './torch-model.ts';
import {
  type ArgumentSpec,
  type Buffer,
  capacityOf,
  type Executor,
  matmul,
  type Mode,
  type Model,
  reshape,
  sizeOf,
  trace,
  transpose,
} from './vocabulary.ts';

interface Weight {
  readonly shape: readonly number[];
  readonly crc32: string;
  readonly first: readonly number[];
  readonly last: number;
}
interface ModeScalars {
  readonly capacity: Readonly<Record<string, number>>;
  readonly dropped: Readonly<Record<string, number>>;
  readonly choices_per_expert: Readonly<Record<string, readonly number[]>>;
  readonly aux: readonly number[];
  readonly router_z: readonly number[];
}
export interface BaseFile {
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly scales: Readonly<Record<string, number>>;
  readonly ids: readonly (readonly number[])[];
  readonly vocabulary: readonly number[];
  readonly weights: Readonly<Record<string, Weight>>;
  readonly train: ModeScalars;
  readonly eval: ModeScalars;
}

/** The reference's own f32 run is 4e-6 from its f64 run here, on logits up to 8. */
const PROBABILITIES: Tolerance = { measure: 'absolute', limit: 4e-5 };

/** Between two logits, each within its tolerance. */
const MARGIN: Tolerance = { ...ALLOWED.torchLogits, limit: 2 * ALLOWED.torchLogits.limit };

const MODES = ['eval', 'train'] as const satisfies readonly Mode[];

/** Weights are made once for all modes. */
export const torchBaseFixture = ({ folder, stem, executor }: Opened): Fixture => ({
  name: stem,
  files: [`${stem}.json`, `${stem}.safetensors`],
  async run(to) {
    const file = await readJson<BaseFile>(folder, `${stem}.json`);
    const want = await readTensors(folder, `${stem}.safetensors`);
    const model = asTorch(modelOf(readConfig(file.config, `${stem}.json`)));
    to.same('ids', want.i32('ids'), file.ids.flat());
    to.same('vocabulary', want.i32('vocabulary'), file.vocabulary);
    const weights = await formulaWeights(model, file, executor, to);
    for (const mode of MODES) await checkMode({ model, file, want, mode, executor, weights }, to);
    for (const tensor of want.unread()) to.leave(`tensor ${tensor}`);
  },
});

/** Every weight made, compared with what the fixture knows of it, turned by the executor and left there: one tensor of JavaScript at a time. */
async function formulaWeights(model: Model, file: BaseFile, executor: Executor, to: Sheet): Promise<Record<string, Buffer>> {
  const held: Record<string, Buffer> = {};
  for (const p of model.list) {
    const { names, transposed } = placeOf(p, 'hf');
    const want = file.weights[names[0]!];
    if (!want) throw new UserError('E_FIXTURE', EXIT.damaged, { message: `no facts about ${names[0]}`, place: 'weights' });
    const stored = transposed ? p.shape.toReversed() : p.shape;
    to.same('shapes of weights', stored, want.shape);
    const values = formulaValues(names[0]!, sizeOf(p.shape), file);
    to.same('CRC-32 of weights', [crc32Of(values)], [Number.parseInt(want.crc32, 16)]);
    to.near(
      'first and last weights',
      [...values.subarray(0, want.first.length), values.at(-1)!],
      [...want.first, want.last],
      ALLOWED.exact,
    );
    const buffer = executor.put(values, { dtype: 'f32', shape: stored });
    held[p.path] = transposed ? await turned(buffer, executor) : buffer;
  }
  return held;
}

async function turned(x: Buffer, executor: Executor): Promise<Buffer> {
  const y = executor.zeros({ dtype: 'f32', shape: x.shape.toReversed() });
  const specs = { x: { shape: x.shape }, y: { shape: y.shape, role: 'state' as const } };
  const loaded = await executor.load(trace('turn', specs, (a) => ({ results: { y: transpose(a['x']!, [1, 0]) }, updates: { y: 'y' } })));
  await loaded.run({ x, y });
  loaded.close();
  return y;
}

interface ModeCase {
  readonly model: Model;
  readonly file: BaseFile;
  readonly want: Tensors;
  readonly mode: Mode;
  readonly executor: Executor;
  readonly weights: Readonly<Record<string, Buffer>>;
}

async function checkMode(c: ModeCase, to: Sheet): Promise<void> {
  const { model, want, mode, file } = c;
  const got = await forward(c);
  const at = (name: string) => want.at(`${mode}/${name}`);
  const { vocab, layers, hidden: width } = model.config;
  const logits = got['logits']!;
  const tokens = logits.length / vocab;
  const picked = Array.from({ length: tokens }, (_, t) => file.vocabulary.map((v) => logits[t * vocab + v]!)).flat();
  to.near(`${mode}: logits`, picked, at('logits').data, ALLOWED.torchLogits);
  to.near(`${mode}: logits (of f64)`, picked, at('logits_f64').data, ALLOWED.torchLogits);
  const sums = logZ(logits, vocab);
  to.near(`${mode}: logsumexp`, sums, at('logsumexp').data, ALLOWED.logsumexp);
  to.near(`${mode}: logsumexp (of f64)`, sums, at('logsumexp_f64').data, ALLOWED.logsumexp);
  const tops = Array.from({ length: tokens }, (_, t) => topTwo(part(logits, t, tokens)));
  to.same(
    `${mode}: argmax`,
    tops.map((t) => t.best),
    at('argmax').data,
  );
  to.near(
    `${mode}: largest logit`,
    tops.map((t) => t.largest),
    at('max').data,
    ALLOWED.torchLogits,
  );
  to.near(
    `${mode}: margin`,
    tops.map((t) => t.margin),
    at('margin').data,
    MARGIN,
  );
  const states = Array.from({ length: layers }, (_, i) => {
    const h = got[`layers.${i}.residual.h`]!;
    return [0, tokens - 1].flatMap((t) => Array.from({ length: width }, (__, d) => h[t * width + d]!));
  }).flat();
  to.near(`${mode}: hidden states`, states, at('hidden').data, ALLOWED.torchHidden);
  model.moeLayers.forEach((layer, n) => checkRouter(c, got, { layer, n }, to));
}

function checkRouter({ model, want, mode, file }: ModeCase, got: Results, { layer, n }: { layer: number; n: number }, to: Sheet): void {
  const { tap, chosen, slot, kept } = routed(got, layer);
  const at = (name: string): Numbers => want.at(`${mode}/router.${layer}.${name}`).data;
  const scalars = file[mode];
  to.same(`${mode}: choices`, chosen, at('top2'));
  to.same(`${mode}: slots`, slot, at('slot'));
  to.same(`${mode}: kept`, kept, at('kept'));
  to.near(`${mode}: router logits`, tap('logits'), at('logits'), ALLOWED.torchLogits);
  to.near(`${mode}: router probabilities`, tap('probs'), at('probs'), PROBABILITIES);
  const counts = Array.from({ length: model.config.experts }, (_, e) => Array.from(chosen).filter((x) => x === e).length);
  to.same(
    `${mode}: capacity, drops, choices per expert`,
    [capacityOf(chosen.length / model.config.topK, mode, model.config), kept.filter((k) => !k).length, ...counts],
    [scalars.capacity[layer]!, scalars.dropped[layer]!, ...scalars.choices_per_expert[layer]!],
  );
  to.near(`${mode}: router losses`, tap('balanceLoss'), [scalars.aux[n]!], ALLOWED.lossPart);
  to.near(`${mode}: router losses`, tap('routerZ'), [scalars.router_z[n]!], ALLOWED.lossPart);
}

function topTwo(x: Numbers): { readonly best: number; readonly largest: number; readonly margin: number } {
  let [best, largest, second] = [-1, -Infinity, -Infinity];
  for (let i = 0; i < x.length; i++) {
    if (x[i]! > largest) [best, largest, second] = [i, x[i]!, largest];
    else second = Math.max(second, x[i]!);
  }
  return { best, largest, margin: largest - second };
}

function forward({ model, file, mode, executor, weights }: ModeCase): Promise<Results> {
  const [rows, length] = [file.ids.length, file.ids[0]!.length];
  const each: ArgumentSpec = { shape: [rows, length], dtype: 'i32' };
  const program = trace(
    `forward ${mode}`,
    { ...parameterSpecs(model), tokens: each, segments: each },
    (a) => {
      const input = { tokens: reshape(a['tokens']!, [rows * length]), segments: a['segments']!, mode, padded: false };
      return { results: { logits: matmul(model.apply((path) => a[path]!, input).hidden, a['head']!) } };
    },
    (tap) => /\.(router|residual)\./.test(tap),
  );
  const tokens = Int32Array.from(file.ids.flat());
  return evaluate(executor, program, { ...weights, tokens, segments: new Int32Array(tokens.length).fill(1) });
}
