/** Folders with the weights of a model in many formats: the same values as the formula gives, and the logits of the forward fixtures. */
import { placeOf } from '../checkpoints/index.ts';
import { roundBf16 } from '../base/index.ts';
import { formulaValues } from './formula.node.ts';
import { type FixtureFolder, readJson, readTensors } from './reading.ts';
import { ALLOWED, beyond, type Fixture, type Sheet } from './row.ts';
import type { ForwardFile } from './torch-forward.ts';
import { openTorchModel, type TorchModel, torchForward } from './torch-model.ts';
import { type Executor, type Model, sizeOf } from './vocabulary.ts';

interface Known {
  readonly stem: string;
  readonly file: ForwardFile;
}

/** One fixture a folder; `stems` are the forward fixtures, whose models have formulas and known logits. */
export function torchModelFixtures(
  folder: FixtureFolder,
  names: readonly string[],
  stems: readonly string[],
  executor: Executor,
): Fixture[] {
  return names.map((name) => ({
    name: `${name} as a checkpoint`,
    files: folder.files.filter((f) => f.startsWith(`${name}/`)),
    run: (to) => check({ folder, name, stems, executor }, to),
  }));
}

interface Case {
  readonly folder: FixtureFolder;
  readonly name: string;
  readonly stems: readonly string[];
  readonly executor: Executor;
}

async function check({ folder, name, stems, executor }: Case, to: Sheet): Promise<void> {
  const opened = await openTorchModel(folder, name);
  for (const values of opened.weights.values())
    to.same('entries that are not finite', [values.filter((x) => !Number.isFinite(x)).length], [0]);
  const rounding = ROUNDINGS[[...opened.dtypes].sort().join()];
  if (!rounding) throw new Error(`tensors of ${[...opened.dtypes].join()}: the fixtures have F32, F16 or BF16`);
  const known = await matching({ folder, name, stems }, opened, rounding.round);
  if (!known) return to.leave('no forward fixture says what a model of this size computes');
  for (const p of opened.model.list) {
    const { names, transposed } = placeOf(p, 'hf');
    const values = [formulaName(names[0]!), names[0]!].map((of) => rounding.round(formulaValues(of, sizeOf(p.shape), known.file)));
    const formula = values.find((v) => v[0] === opened.weights.get(p.path)![0]) ?? values[0]!;
    to.near(
      'weights by formula',
      opened.weights.get(p.path)!,
      transposed ? turned(formula, p.shape as [number, number]) : formula,
      ALLOWED.exact,
    );
  }
  await checkLogits({ folder, name, stems, executor }, known, { ...opened, suffix: rounding.suffix }, to);
}

/** What rounding does to the formula's values, and what the forward fixtures call the outputs of rounded weights. */
const ROUNDINGS: Readonly<Record<string, { readonly suffix: string; readonly round: (x: Float32Array) => Float32Array }>> = {
  F32: { suffix: 'eval', round: (x) => x },
  F16: { suffix: 'fp16', round: (x) => x.map(roundF16) },
  BF16: { suffix: 'bf16', round: (x) => x.map(roundBf16) },
};

/** The nearest half-precision number, of two the even one. */
function roundF16(x: number): number {
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x)))) - 10);
  const units = Math.abs(x) / step;
  const low = Math.floor(units);
  const even = units - low === 0.5 ? low + (low % 2) : Math.round(units);
  return Math.sign(x) * even * step;
}

/** In the tiny models two norms are one tensor (fixtures/torch: `model-views` needs that); elsewhere they have names of their own. */
const formulaName = (name: string): string => (name === 'model.layers.1.input_layernorm.weight' ? name.replace('.1.', '.0.') : name);

const turned = (x: Float32Array, [rows, cols]: readonly [number, number]): Float32Array =>
  Float32Array.from(x, (_, i) => x[(i % cols) * rows + Math.floor(i / cols)]!);

/** The forward fixture of this folder, or one whose model has the same sizes: of several, the one whose formula gives these weights. */
async function matching(
  { folder, name, stems }: Omit<Case, 'executor'>,
  { model, weights }: TorchModel,
  round: (x: Float32Array) => Float32Array,
): Promise<Known | undefined> {
  const files = await Promise.all(stems.map(async (stem): Promise<Known> => ({ stem, file: await readJson(folder, `${stem}.json`) })));
  const own = files.find(({ file }) => file.model === name);
  if (own) return own;
  const alike: Known[] = [];
  for (const known of files) {
    const other = await folder.open(known.file.model);
    await other.close();
    if (shapesOf(other.model) === shapesOf(model)) alike.push(known);
  }
  const norm = model.list.find((p) => p.shape.length === 1)!;
  const given = weights.get(norm.path)!;
  const gives = ({ file }: Known): boolean =>
    round(formulaValues(formulaName(placeOf(norm, 'hf').names[0]!), given.length, file)).every((x, i) => x === given[i]);
  return alike.find(gives) ?? alike[0];
}

const shapesOf = ({ list }: Model): string => list.map((p) => `${p.path}[${p.shape}]`).join();

/** f32 folders give the base folder's logits; rounded ones have outputs of their own, in f32 computed from rounded weights. */
async function checkLogits(
  { folder, executor }: Case,
  { stem, file }: Known,
  opened: TorchModel & { readonly suffix: string },
  to: Sheet,
): Promise<void> {
  const want = await readTensors(folder, `${stem}.safetensors`);
  let compared = 0;
  for (const [input, { shape }] of Object.entries(file.inputs)) {
    const key = `${input}/${opened.suffix}/logits`;
    if (!want.has(key) || want.at(key).shape[1] !== shape[1]) continue;
    const got = await torchForward(opened, { shape, ids: want.i32(`${input}/ids`), mode: 'eval' }, executor);
    to.near('logits', got['logits']!, want.at(key).data, beyond(shape[1], ALLOWED.torchLogits));
    compared++;
  }
  if (compared === 0) throw new Error(`${stem}.safetensors holds no logits of ${opened.suffix} weights`);
}
