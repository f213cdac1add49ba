/** Forward passes of the PyTorch reference: JSON with `inputs`, tensors `INPUT/MODE/NAME`.   B rows, T tokens a row, V vocabulary, H hidden. */
import { type FixtureFolder, readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, beyond, type Fixture, type Numbers, type Sheet } from './row.ts';
import { part, type Results, routed, sumOf } from './running.ts';
import { openTorchModel, type TorchModel, torchForward, type TorchPass } from './torch-model.ts';
import { capacityOf, type Executor, type Mode } from './vocabulary.ts';

interface LayerScalars {
  readonly capacity: number;
  readonly dropped_first: number;
  readonly dropped_second: number;
  readonly kept_per_expert: readonly number[];
  readonly aux_loss: number;
  readonly aux_loss_f64: number;
  readonly router_z_loss: number;
  readonly router_z_loss_f64: number;
}
interface ModeScalars {
  readonly layers: Readonly<Record<string, LayerScalars>>;
  readonly aux_loss_mean: number;
  readonly router_z_loss_mean: number;
}
interface Input {
  readonly shape: readonly [number, number];
  readonly ids: readonly (readonly number[])[];
  readonly train: ModeScalars;
  readonly eval: ModeScalars;
}
export interface ForwardFile {
  readonly model: string;
  readonly seed: number;
  readonly scales: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Input>>;
}

const MODES = ['eval', 'train'] as const satisfies readonly Mode[];

export interface Opened {
  readonly folder: FixtureFolder;
  /** Of the JSON and of the safetensors file, without the ending. */
  readonly stem: string;
  readonly executor: Executor;
}

export async function torchForwardFixtures({ folder, stem, executor }: Opened): Promise<Fixture[]> {
  const file = await readJson<ForwardFile>(folder, `${stem}.json`);
  const files = [`${stem}.json`, `${stem}.safetensors`];
  return Object.entries(file.inputs).flatMap(([input, scalars]) =>
    MODES.map((mode): Fixture => ({
      name: `${stem} ${input} ${mode}`,
      files,
      run: (to) => check({ folder, stem, executor }, file, { input, scalars, mode }, to),
    })),
  );
}

interface Pass {
  readonly input: string;
  readonly scalars: Input;
  readonly mode: Mode;
}

async function check(
  { folder, stem, executor }: Opened,
  { model: name }: ForwardFile,
  { input, scalars, mode }: Pass,
  to: Sheet,
): Promise<void> {
  const want = await readTensors(folder, `${stem}.safetensors`);
  const opened = await openTorchModel(folder, name);
  const pass: TorchPass = { shape: scalars.shape, ids: want.i32(`${input}/ids`), mode };
  to.same('ids', pass.ids, scalars.ids.flat());
  const got = await torchForward(opened, pass, executor);
  const at = (key: string): string => `${input}/${mode}/${key}`;
  checkStates({ opened, got, pass }, want, at, to);
  for (const layer of opened.model.moeLayers) {
    checkRouter({ opened, got, pass }, want, { layer, at }, to);
    checkLayer({ opened, got, pass }, scalars[mode].layers[layer]!, layer, to);
  }
  const mean = (tap: string): number[] => [
    sumOf(opened.model.moeLayers.map((l) => routed(got, l).tap(tap)[0]!)) / opened.model.moeLayers.length,
  ];
  to.near('router losses, mean', mean('balanceLoss'), [scalars[mode].aux_loss_mean], ALLOWED.lossPart);
  to.near('router losses, mean', mean('routerZ'), [scalars[mode].router_z_loss_mean], ALLOWED.lossPart);
  for (const tensor of want.unread()) if (tensor.startsWith(`${input}/${mode}/`)) to.leave(`tensor ${tensor}`);
}

interface Computed {
  readonly opened: TorchModel;
  readonly got: Results;
  readonly pass: TorchPass;
}

/** Where a fixture keeps the last positions of each row only, those are compared. */
function checkStates({ opened, got, pass }: Computed, want: Tensors, at: (key: string) => string, to: Sheet): void {
  const [rows, length] = pass.shape;
  const compare = (quantity: string, ours: Numbers, key: string, tolerance: Parameters<Sheet['near']>[3]): void => {
    const { shape, data } = want.at(at(key));
    to.near(quantity, lastOf(ours, { rows, length, kept: shape[1] ?? 0 }), data, beyond(length, tolerance));
  };
  compare('logits', got['logits']!, 'logits', ALLOWED.torchLogits);
  if (want.has(at('logits_f64'))) compare('logits (of f64)', got['logits']!, 'logits_f64', ALLOWED.torchLogits);
  // Every evaluation has hidden states, and some training passes.
  if (pass.mode === 'train' && !want.has(at('hidden.final'))) return;
  for (let i = 0; i < opened.model.config.layers; i++)
    compare('hidden states', got[`layers.${i}.residual.h`]!, `hidden.${i}`, ALLOWED.torchHidden);
  compare('hidden states', got['hidden']!, 'hidden.final', ALLOWED.torchHidden);
}

/** The last `kept` positions of each row of [rows, length, …]. */
function lastOf(x: Numbers, { rows, length, kept }: Readonly<Record<'rows' | 'length' | 'kept', number>>): Numbers {
  if (kept === length) return x;
  const width = x.length / (rows * length);
  return Array.from({ length: rows }, (_, r) => Array.from(part(x, r, rows)).slice((length - kept) * width)).flat();
}

function checkRouter(
  { got, pass }: Computed,
  want: Tensors,
  { layer, at }: { layer: number; at: (key: string) => string },
  to: Sheet,
): void {
  const { tap, chosen, slot, kept, weight } = routed(got, layer);
  const key = (name: string): string => at(`router.${layer}.${name}`);
  to.same('choices', chosen, want.at(key('top2')).data);
  to.same('slots', slot, want.at(key('slot')).data);
  to.same('kept', kept, want.at(key('kept')).data);
  // Where the last positions alone have logits, the fixtures keep decisions alone.
  if (want.at(at('logits')).shape[1] !== pass.shape[1] && !want.has(key('probs'))) return;
  const near = (quantity: string, ours: Numbers, name: string, tolerance: Parameters<Sheet['near']>[3]): void =>
    to.near(quantity, ours, want.at(key(name)).data, beyond(pass.shape[1], tolerance));
  near('router logits', tap('logits'), 'logits', ALLOWED.torchLogits);
  near('router probabilities', tap('probs'), 'probs', ALLOWED.probabilities);
  near('combine weights', weight, 'weight', ALLOWED.probabilities);
  if (want.has(key('probs_f64'))) near('router probabilities (of f64)', tap('probs'), 'probs_f64', ALLOWED.probabilities);
}

function checkLayer({ opened, got, pass }: Computed, want: LayerScalars, layer: number, to: Sheet): void {
  const { config } = opened.model;
  const { tap, chosen, kept } = routed(got, layer);
  const dropped = (choice: number): number => kept.filter((k, i) => !k && i % config.topK === choice).length;
  const perExpert = Array.from({ length: config.experts }, (_, e) => kept.filter((k, i) => k && chosen[i] === e).length);
  to.same(
    'capacity, drops, entries per expert',
    [capacityOf(pass.ids.length, pass.mode, config), dropped(0), dropped(1), ...perExpert],
    [want.capacity, want.dropped_first, want.dropped_second, ...want.kept_per_expert],
  );
  to.near('balance loss by layer', tap('balanceLoss'), [want.aux_loss], ALLOWED.lossPart);
  to.near('balance loss by layer (of f64)', tap('balanceLoss'), [want.aux_loss_f64], ALLOWED.lossPart);
  to.near('router z-loss by layer', tap('routerZ'), [want.router_z_loss], ALLOWED.lossPart);
  to.near('router z-loss by layer (of f64)', tap('routerZ'), [want.router_z_loss_f64], ALLOWED.lossPart);
}
