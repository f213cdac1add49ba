/** Text that a trained run generates from beginnings of its own probe documents. */
import type { MachineExecutor } from '../exec/index.ts';
import { generate, openLanguageModel } from '../infer/index.ts';
import type { RunFolder } from '../runs/index.ts';
import { type Prepared, type Recipe, readTrained } from '../train/index.ts';
import type { Sample } from './history.ts';
import { resident } from './trained.ts';

const SAMPLES = 3;
const PROMPT_TOKENS = 8;
const SAMPLING = { maxTokens: 60, temperature: 0.8, topK: 0, topP: 0.95, stop: [] } as const;

interface Needs extends Prepared {
  readonly recipe: Recipe;
  readonly step: number;
}

export async function samplesOf(
  run: RunFolder,
  { recipe, model, dataset, tokenizer, step }: Needs,
  { executor, signal }: { executor: MachineExecutor; signal: AbortSignal },
): Promise<Sample[]> {
  const { weights } = await readTrained(await run.readCheckpoint(step));
  const lm = openLanguageModel(model, executor, resident(executor, model, weights), {
    context: PROMPT_TOKENS + 1 + SAMPLING.maxTokens,
    routing: false,
  });
  const samples: Sample[] = [];
  for (const [i, prompt] of promptsFrom({ recipe, dataset, tokenizer }).entries()) {
    let text = '';
    for await (const piece of generate(lm, tokenizer, prompt, { ...SAMPLING, seed: recipe.seed + i }, { signal })) text += piece.text;
    samples.push({ prompt, text });
  }
  lm.close();
  return samples;
}

/** The first tokens of a few probe documents, spread over the trained domains. */
function promptsFrom({ recipe, dataset, tokenizer }: Pick<Needs, 'recipe' | 'dataset' | 'tokenizer'>): string[] {
  const { tokens, domains } = dataset.probeRows({ seed: recipe.seed, sequencesPerDomain: SAMPLES });
  const rows = Array.from({ length: tokens.length / dataset.length }, (_, row) => row * dataset.length).filter(
    (at) => !dataset.domains[domains[at]!]!.heldOut,
  );
  const chosen = Array.from({ length: Math.min(SAMPLES, rows.length) }, (_, i) => rows[Math.floor((i * rows.length) / SAMPLES)]!);
  // The first token of a row is begin-of-sequence.
  return chosen.map((at) => tokenizer.decode(tokens.subarray(at + 1, at + 1 + PROMPT_TOKENS)));
}
