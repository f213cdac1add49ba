/** Conversion: a checkpoint written again with other names, other element types, as a Hugging Face folder. */
import type { Checkpoint } from './checkpoint.ts';
import { configFile, GENERATION, generationConfig } from './config-file.ts';
import { CONFIG } from './config.ts';
import { type NameScheme, type PlacedTensor, placedTensors, tensorFrom } from './names.ts';
import { type Files, readRange } from './storage.ts';
import { type NamedSource, stackedSource, storedSource, type TensorSource } from './source.ts';
import { type OutFolder, type OutTensor, type Writing, writeTensors, type Written } from './write-tensors.ts';

/** What goes along as it is where the source folder has it: tokenizers, and the code that transformers runs. */
export const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'tokenizer.model',
  'spiece.model',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'tokenization_openmoe.py',
  'modeling_openmoe.py',
  'configuration_openmoe.py',
] as const;
const LARGEST_COMPANION = 2 ** 30;

export interface Conversion extends Writing {
  readonly names: NameScheme;
  readonly out: OutFolder;
}

/** Writes the checkpoint into `out`. Throws what reading and writing throw; `out` is then to be thrown away. */
export async function convert(from: Checkpoint, files: Files, { out, names, ...writing }: Conversion): Promise<Written> {
  const sources = placedTensors(from.model, names).map((t): OutTensor => ({
    name: t.name,
    source: sourceOf(t, from),
    groupAxis: groupAxisOf(t),
  }));
  const written = await writeTensors(out, sources, writing);
  await out.writeWhole(CONFIG, configFile(from.model, { names, dtype: writing.type, like: from.config }));
  await copyCompanions(from, files, out);
  return written;
}

/** The values of a tensor of any scheme, from a checkpoint of any other. */
function sourceOf(placed: PlacedTensor, from: Checkpoint): TensorSource {
  const parts = tensorFrom(placed, from.parts(placed.parameter.path));
  const stacked = placed.index === undefined && parts[0]!.view.shape.length < placed.shape.length;
  return stacked ? stackedSource(parts) : storedSource(parts[0]!);
}

/** The axis of a tensor's inputs: what products sum over. Norms and routers are small, and stay f32; an embedding's row has its own scales. */
export function groupAxisOf({
  shape,
  parameter,
  transposed,
}: Pick<PlacedTensor, 'shape' | 'parameter' | 'transposed'>): number | undefined {
  if (shape.length < 2 || parameter.path.endsWith('router.weight')) return undefined;
  const last = parameter.path === 'embedding' || transposed;
  return shape.length - (last ? 1 : 2);
}

async function copyCompanions({ folder, model }: Checkpoint, files: Files, out: OutFolder): Promise<void> {
  const names: readonly string[] = (await files.list(folder)) ?? [];
  for (const name of [GENERATION, ...COMPANIONS].filter((n) => names.includes(n))) {
    const file = await files.open(`${folder}/${name}`);
    if (file && file.size <= LARGEST_COMPANION) await out.writeWhole(name, await readRange(file, 0, file.size));
  }
  if (!names.includes(GENERATION)) await out.writeWhole(GENERATION, generationConfig(model));
}

/** All of a checkpoint's values under the released names, whatever its own are. */
export const releasedTensors = (from: Checkpoint): readonly NamedSource[] =>
  placedTensors(from.model, 'hf').map((t) => ({ name: t.name, source: sourceOf(t, from) }));
