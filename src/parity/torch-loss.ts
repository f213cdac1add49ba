/** Losses of the PyTorch reference and the gradients of their mean per token.   B rows, T tokens a row, V vocabulary. */
import { placeOf } from '../checkpoints/index.ts';
import { readJson, readTensors } from './reading.ts';
import { ALLOWED, type Fixture, type Numbers, type Sheet } from './row.ts';
import { evaluate, forwardProgram, gradientInPlace, logZ, part, type Results, routed, sumOf } from './running.ts';
import type { Opened } from './torch-forward.ts';
import { openTorchModel, type TorchModel } from './torch-model.ts';
import { type LossConfig, type Mode, stepProgram } from './vocabulary.ts';

interface Sums {
  readonly total_chunk_head: number;
  readonly total_no_chunk_head: number;
  readonly total_with_the_shipped_config_values: number;
  readonly ce_sum_per_row: readonly number[];
  readonly z_sum_per_row: readonly number[];
  readonly aux_per_layer: readonly number[];
  readonly router_z_per_layer: readonly number[];
  readonly aux_weighted: number;
  readonly router_z_weighted: number;
  readonly ce_per_token_mean: number;
  readonly z_per_token_mean: number;
  readonly aux_mean: number;
  readonly router_z_mean: number;
  readonly total_per_token_mean: number;
}
export interface LossFile {
  readonly model: string;
  readonly mode: Mode;
  readonly factors: { readonly z_loss: number; readonly aux: number; readonly router_z: number };
  readonly ids: readonly (readonly number[])[];
  readonly f32: Sums;
  readonly f64: Sums;
  readonly routing?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Factors of the configs as shipped; with them the reference sums −log p over all ids (reference 13.1, the soft-target bug). */
const [SHIPPED_Z, SHIPPED_SMOOTHING] = [0.01, 0.001];
/** What the reference subtracts at each position: the entropy that its soft targets ought to have. */
const shippedEntropy = (vocab: number): number => {
  const [right, other] = [1 - SHIPPED_SMOOTHING, SHIPPED_SMOOTHING / (vocab - 1)];
  return -(right * Math.log(right) + (vocab - 1) * other * Math.log(other + 1e-20));
};

export async function torchLossFixtures({ folder, stem, executor }: Opened): Promise<Fixture[]> {
  const files = [`${stem}.json`, `${stem}.safetensors`];
  const open = async () => {
    const file = await readJson<LossFile>(folder, `${stem}.json`);
    const opened = await openTorchModel(folder, file.model);
    return { file, opened, want: await readTensors(folder, `${stem}.safetensors`) };
  };
  return [
    {
      name: `${stem} losses`,
      files,
      async run(to) {
        const { file, opened, want } = await open();
        const got = await evaluate(executor, forwardProgram(opened.model, passOf(file)), inputsOf(opened, file));
        to.same('ids', want.i32('ids'), file.ids.flat());
        to.near('logits', got['logits']!, want.at('logits').data, ALLOWED.torchLogits);
        checkSums({ file, opened, got }, to);
      },
    },
    {
      name: `${stem} gradients`,
      files,
      async run(to) {
        const { file, opened, want } = await open();
        const { rows, length, losses } = passOf(file);
        const config = { batch: rows, length, accumulate: 1, losses, padded: false, recompute: 'none' } as const;
        const got = await evaluate(executor, stepProgram(opened.model, gradientInPlace, config), {
          ...inputsOf(opened, file),
          lr: Float32Array.of(0),
        });
        to.near('total loss', got['total']!, [file.f64.total_per_token_mean], ALLOWED.loss);
        for (const p of opened.model.list) {
          const { names, transposed } = placeOf(p, 'hf');
          const theirs = Float64Array.from(want.at(`grad/${names[0]}`).data);
          // The reference never trains the padding row of its embedding; ours has the gradient that this row would have.
          if (p.path === 'embedding') theirs.set(want.at('grad/embed_row0_if_not_padding').data);
          const ours = transposed ? turned(got[p.path]!, p.shape as [number, number]) : got[p.path]!;
          to.near('gradients', ours, theirs, ALLOWED.gradient);
        }
        for (const tensor of want.unread()) if (tensor.startsWith('grad/')) to.leave(`tensor ${tensor}`);
      },
    },
  ];
}

const turned = (x: Numbers, [rows, cols]: readonly [number, number]): Float64Array =>
  Float64Array.from(x, (_, i) => x[(i % rows) * cols + Math.floor(i / rows)]!);

const lossesOf = ({ factors }: LossFile): LossConfig => ({ z: factors.z_loss, balance: factors.aux, routerZ: factors.router_z });
const passOf = (file: LossFile) =>
  ({ rows: file.ids.length, length: file.ids[0]!.length, mode: file.mode, padded: false, losses: lossesOf(file) }) as const;

/** The reference shifts inside: position t is trained on token t + 1, the last on none. */
function inputsOf({ weights }: TorchModel, { ids }: LossFile) {
  const flat = (row: (ids: readonly number[]) => readonly number[]): number[] => ids.flatMap((r) => row(r));
  return {
    ...Object.fromEntries(weights),
    tokens: Int32Array.from(ids.flat()),
    targets: Int32Array.from(flat((r) => [...r.slice(1), 0])),
    segments: new Int32Array(ids.flat().length).fill(1),
    weights: Float32Array.from(flat((r) => r.map((_, i) => Number(i < r.length - 1)))),
  };
}

interface Computed {
  readonly file: LossFile;
  readonly opened: TorchModel;
  readonly got: Results;
}

/** Every way in which the reference adds its losses up, from the same numbers. */
function checkSums({ file, opened: { model }, got }: Computed, to: Sheet): void {
  const { rows, length, losses } = passOf(file);
  const { vocab } = model.config;
  const counted = (x: Numbers): number[] => Array.from({ length: rows }, (_, r) => sumOf(Array.from(part(x, r, rows)).slice(0, -1)));
  const z = logZ(got['logits']!, vocab);
  const ce = counted(got['perToken']!);
  const zSum = counted(z.map((x) => losses.z * x * x));
  const layers = (tap: string): number[] => model.moeLayers.map((l) => routed(got, l).tap(tap)[0]!);
  const mean = (x: readonly number[]): number => sumOf(x) / x.length;
  const [aux, routerZ] = [losses.balance * mean(layers('balanceLoss')), losses.routerZ * mean(layers('routerZ'))];
  const rowSums = ce.map((x, r) => x + zSum[r]!);
  const allSoftTargets = counted(
    z.map((x, n) => vocab * x - sumOf(part(got['logits']!, n, rows * length)) - shippedEntropy(vocab) + SHIPPED_Z * x * x),
  );
  const tokens = rows * (length - 1);
  const sums: Sums = {
    total_chunk_head: sumOf(rowSums) + aux + routerZ,
    total_no_chunk_head: mean(rowSums) + aux + routerZ,
    total_with_the_shipped_config_values: mean(allSoftTargets) + aux + routerZ,
    ce_sum_per_row: ce,
    z_sum_per_row: zSum,
    aux_per_layer: layers('balanceLoss'),
    router_z_per_layer: layers('routerZ'),
    aux_weighted: aux,
    router_z_weighted: routerZ,
    ce_per_token_mean: sumOf(ce) / tokens,
    z_per_token_mean: sumOf(zSum) / tokens,
    aux_mean: mean(layers('balanceLoss')),
    router_z_mean: mean(layers('routerZ')),
    total_per_token_mean: got['total']![0]!,
  };
  for (const [name, ours] of Object.entries(sums) as [keyof Sums, number | readonly number[]][]) {
    const absolute = name.includes('per_token') || name.endsWith('weighted');
    const allowed = absolute ? ALLOWED.loss : ALLOWED.lossPart;
    to.near(name.replaceAll('_', ' '), [ours].flat(), [file.f64[name]].flat(), allowed);
  }
}
