/** Greedy decoding of the PyTorch reference, with and without its cache: JSON with `prompts`.   B rows, n new tokens, V vocabulary. */
import { continueTogether, GREEDY, openLanguageModel, type Read } from '../infer/index.ts';
import { readJson, readTensors, type Tensors } from './reading.ts';
import { ALLOWED, type Fixture, type Sheet } from './row.ts';
import { held } from './running.ts';
import type { Opened } from './torch-forward.ts';
import { openTorchModel, type TorchModel } from './torch-model.ts';
import type { Executor } from './vocabulary.ts';

interface Written {
  readonly tokens: readonly (readonly number[])[];
  readonly margin: readonly (readonly number[])[];
  readonly dropped: readonly number[];
}
interface Prompt {
  readonly ids: readonly (readonly number[])[];
  readonly with_cache: Written;
  readonly without_cache: Written;
  /** What `generate()` writes when no mask is given: ids 0 of the prompt are hidden. */
  readonly automatic_mask_with_cache?: Pick<Written, 'tokens'>;
}
export interface GenerateFile {
  readonly model: string;
  readonly new_tokens: number;
  readonly prompts: Readonly<Record<string, Prompt>>;
}

const WAYS = ['with_cache', 'without_cache', 'automatic_mask_with_cache'] as const;

export async function torchGenerateFixtures({ folder, stem, executor }: Opened): Promise<Fixture[]> {
  const file = await readJson<GenerateFile>(folder, `${stem}.json`);
  const files = [`${stem}.json`, `${stem}.safetensors`];
  return Object.entries(file.prompts).flatMap(([prompt, asked]) =>
    WAYS.filter((way) => way in asked || way !== 'automatic_mask_with_cache').map((way): Fixture => ({
      name: `${stem} ${prompt} ${way.replaceAll('_', ' ')}`,
      files,
      async run(to) {
        const opened = await openTorchModel(folder, file.model);
        const want = await readTensors(folder, `${stem}.safetensors`);
        await check({ opened, executor, count: file.new_tokens, prompt, way, tensors: want }, asked, to);
      },
    })),
  );
}

interface Case {
  readonly opened: TorchModel;
  readonly executor: Executor;
  readonly count: number;
  readonly prompt: string;
  readonly way: (typeof WAYS)[number];
  readonly tensors: Tensors;
}

async function check({ opened, executor, count, prompt, way, tensors }: Case, { ids, ...ways }: Prompt, to: Sheet): Promise<void> {
  const { model, weights } = opened;
  const context = Math.max(...ids.map((row) => row.length)) + count;
  const lm = openLanguageModel(model, executor, held(executor, model, weights), { context, group: 'batch' });
  const free = { allowed: () => true, ends: () => false };
  const [tokens, logits, margins]: [number[][], number[][], number[][]] = [ids.map(() => []), ids.map(() => []), ids.map(() => [])];
  const dropped: number[] = [];
  const automatic = way === 'automatic_mask_with_cache';
  const how = { hides: (row: number, i: number): boolean => automatic && ids[row]![i] === 0 };
  const options = { ...GREEDY, ...free, maxTokens: count, seed: 0, cache: way !== 'without_cache', how };
  for await (const step of continueTogether(lm, ids, options)) {
    step.ids.forEach((id, row) => {
      const own = step.reads[row]!.logits();
      tokens[row]!.push(id);
      logits[row]!.push(...own);
      margins[row]!.push(own.reduce((d, x, i) => (i === id ? d : Math.min(d, own[id]! - x)), Infinity));
    });
    dropped.push(drops(step.reads));
  }
  lm.close();
  to.same('tokens', tokens.flat(), ways[way]!.tokens.flat());
  if (automatic) return;
  const want = ways[way];
  to.same('dropped choices', dropped, want.dropped);
  // Two logits, each within its tolerance.
  to.near('margins', margins.flat(), want.margin.flat(), { measure: 'absolute', limit: 2 * ALLOWED.torchLogits.limit });
  const name = `${prompt}/${way}/logits`;
  if (tensors.has(name)) to.near('logits', logits.flat(), tensors.at(name).data, ALLOWED.torchLogits);
  else if (way === 'with_cache') throw new Error(`there is no tensor ${name}`);
}

const drops = (reads: readonly Read[]): number =>
  reads.flatMap((read) => read.routed.flatMap((r) => Array.from(r.kept))).filter((kept) => kept === 0).length;
