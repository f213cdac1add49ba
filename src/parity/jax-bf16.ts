/** The JAX models in bf16: `m/case.train.bf16`, compared loosely, for the reference rounds in other places than this engine. */
import { jaxBatch, openJaxModel } from './jax-model.ts';
import { type Case, checkDecisions, type LossScalars, runForward } from './jax-forward.ts';
import { filesIn, type FixtureFolder, readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Sheet, type Tolerance } from './row.ts';
import { type Results, routed } from './running.ts';
import type { Executor } from './vocabulary.ts';

/**
 * The reference rounds activations, softmax and logits' input to bf16; this engine the operands of products alone, as is usual on GPUs, and
 * keeps the residual stream in f32. Against f32 the reference's own logits move by 2.4 % of the largest where no choice changes, 12 % where
 * 11 of 960 do, and its losses by 0.002 at most.
 */
const LOOSE = {
  logits: { measure: 'relative', limit: 0.06 },
  logitsWithChanges: { measure: 'relative', limit: 0.3 },
  loss: { measure: 'absolute', limit: 0.02 },
  /** Of all choices, how many may be others. */
  changed: { measure: 'absolute', limit: 0.05 },
} as const satisfies Record<string, Tolerance>;

export function jaxBf16Fixtures(folder: FixtureFolder, name: string, executor: Executor): Fixture[] {
  return filesIn(folder, name).flatMap((file): Fixture[] => {
    const kind = /^(.+)\.train\.bf16\.safetensors$/.exec(file)?.[1];
    if (!kind) return [];
    const files = [file, `${kind}.batch.safetensors`, `${kind}.train.f32.safetensors`, 'scalars_bf16.json'].map((f) => `${name}/${f}`);
    return [{ name: `${name} ${kind} train bf16`, files, run: (to) => checkBf16({ folder, name, kind, executor }, to) }];
  });
}

interface Bf16Scalars {
  readonly train: { readonly loss: LossScalars; readonly loss_f32?: LossScalars };
}

async function checkBf16({ folder, name, kind, executor }: Case, to: Sheet): Promise<void> {
  const batch = jaxBatch(await readTensors(folder, `${name}/${kind}.batch.safetensors`));
  const want = await readTensors(folder, `${name}/${kind}.train.bf16.safetensors`);
  const { [kind]: scalars } = await readJson<Readonly<Record<string, Bf16Scalars>>>(folder, `${name}/scalars_bf16.json`);
  const rounded = await openJaxModel(folder, name, { precision: 'bf16' });
  const got = await runForward(rounded, batch, 'train', executor);
  // With hidden states the case is one where the reference chooses as in f32.
  const steady = want.has('hidden.0');
  to.near('logits', got['logits']!, want.at('logits').data, steady ? LOOSE.logits : LOOSE.logitsWithChanges);
  to.near('total loss', got['total']!, [scalars!.train.loss.total], LOOSE.loss);
  for (const layer of rounded.model.moeLayers) {
    if (steady) checkDecisions(got, want, layer, to);
    else to.near('share of choices changed', [changed(got, want, layer)], [0], LOOSE.changed);
  }
  if (!steady) return;
  for (let layer = 0; layer < rounded.model.config.layers; layer++)
    to.near('hidden states', got[`layers.${layer}.residual.h`]!, want.at(`hidden.${layer}`).data, LOOSE.logits);
  await checkF32({ folder, name, kind, executor }, { batch, total: scalars!.train.loss_f32?.total }, to);
}

/** The same case in f32, which the folder holds only here. */
async function checkF32(
  { folder, name, kind, executor }: Case,
  { batch, total }: { readonly batch: ReturnType<typeof jaxBatch>; readonly total: number | undefined },
  to: Sheet,
): Promise<void> {
  const path = `${name}/${kind}.train.f32.safetensors`;
  if (!folder.files.includes(path)) return;
  const want = await readTensors(folder, path);
  const exact = await openJaxModel(folder, name);
  const got = await runForward(exact, batch, 'train', executor);
  to.near('logits, f32', got['logits']!, want.at('logits').data, ALLOWED.jaxLogits);
  if (total !== undefined) to.near('total loss, f32', got['total']!, [total], ALLOWED.loss);
  for (const layer of exact.model.moeLayers) checkDecisions(got, want, layer, to);
}

function changed(got: Results, want: Tensors, layer: number): number {
  const { chosen } = routed(got, layer);
  const theirs = want.at(`moe.${layer}.top2`).data;
  return Array.from(chosen).filter((e, i) => e !== theirs[i]).length / theirs.length;
}
