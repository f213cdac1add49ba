/** Greedy decoding of the JAX reference with its cache: `decode.json`.   B rows, M longest row. */
import { continueTogether, GREEDY, openLanguageModel } from '../infer/index.ts';
import { openJaxModel } from './jax-model.ts';
import { type FixtureFolder, readJson } from './reading.ts';
import type { Fixture, Sheet } from './row.ts';
import { held } from './running.ts';
import type { Executor } from './vocabulary.ts';

interface Decoded {
  readonly decoder_input_tokens: readonly (readonly number[])[];
  readonly decoder_causal_attention: readonly (readonly number[])[];
  /** Tokens before the last of each prompt. */
  readonly prompt_lengths: readonly number[];
  /** New tokens; 0 after the end of a row. */
  readonly generated: readonly (readonly number[])[];
}

const EOS = 1;

export async function decodeFixtures(folder: FixtureFolder, executor: Executor): Promise<Fixture[]> {
  const file = await readJson<Readonly<Record<string, Decoded>>>(folder, 'decode.json');
  return Object.entries(file).map(([name, want]) => ({
    name: `decode ${name}`,
    files: ['decode.json'],
    run: (to) => check({ folder, name, executor }, want, to),
  }));
}

async function check(
  { folder, name, executor }: { readonly folder: FixtureFolder; readonly name: string; readonly executor: Executor },
  want: Decoded,
  to: Sheet,
): Promise<void> {
  const { model, weights } = await openJaxModel(folder, name);
  const padTo = want.decoder_input_tokens[0]!.length;
  const prompts = want.decoder_input_tokens.map((row, r) => row.slice(0, want.prompt_lengths[r]! + 1));
  to.same(
    'prompt lengths',
    want.decoder_causal_attention.map((row) => row.reduce((a, b) => a + b, 0)),
    prompts.map((p) => p.length),
  );
  const lm = openLanguageModel(model, executor, held(executor, model, weights), { context: padTo + 1, group: 'batch' });
  // A row ends with its EOS, or once the token before its last stands at the end of the padded length.
  const written = prompts.map((): number[] => []);
  const ends = (row: number, id: number): boolean => id === EOS || want.prompt_lengths[row]! + written[row]!.length >= padTo;
  const options = { ...GREEDY, maxTokens: padTo, seed: 0, cache: true, how: { padTo, lastAgain: true }, allowed: () => true, ends };
  for await (const { ids } of continueTogether(lm, prompts, options)) ids.forEach((id, row) => id >= 0 && written[row]!.push(id));
  lm.close();
  const filled = written.map((row, r) => Array.from({ length: want.generated[r]!.length }, (_, i) => row[i] ?? 0));
  to.same('tokens', filled.flat(), want.generated.flat());
}
