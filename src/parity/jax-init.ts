/** Statistics of the reference's initialisation: `init.json`. */
import type { JaxConfig } from './jax-model.ts';
import { jaxModel, t5xName } from './jax-model.ts';
import { type FixtureFolder, readJson } from './reading.ts';
import type { Fixture, Sheet, Tolerance } from './row.ts';
import { initialValues } from './vocabulary.ts';

interface Moments {
  readonly shape: readonly number[];
  readonly mean: number;
  readonly std: number;
  readonly fraction_beyond_2_std: number;
  readonly per_expert_std?: readonly number[];
}
interface Initialisation {
  readonly config: JaxConfig;
  readonly scale: number;
  readonly activation_dtype: Readonly<Record<string, Readonly<Record<string, Moments>>>>;
}

/** Both samples are random: in standard errors of a difference. */
const STANDARD_ERRORS: Tolerance = { measure: 'absolute', limit: 5 };
const SEEDS = [1, 2];

export const initFixture = (folder: FixtureFolder): Fixture => ({
  name: 'init',
  files: ['init.json'],
  run: async (to) => checkInitialisation(await readJson<Initialisation>(folder, 'init.json'), to),
});

function checkInitialisation(want: Initialisation, to: Sheet): void {
  const model = jaxModel(want.config, { initScale: want.scale });
  for (const seed of SEEDS)
    for (const [path, values] of initialValues(model, seed))
      for (const [dtype, tensors] of Object.entries(want.activation_dtype)) {
        const theirs = tensors[t5xName(path)];
        if (!theirs) throw new Error(`init.json: no statistics of ${t5xName(path)}`);
        compare(values, theirs, `${dtype} activations`, to);
      }
  for (const [dtype, tensors] of Object.entries(want.activation_dtype)) {
    const known = new Set(model.list.map((p) => t5xName(p.path)));
    for (const name of Object.keys(tensors)) if (!known.has(name)) to.leave(`${dtype}: ${name}`);
  }
}

function compare(values: Float32Array, want: Moments, of: string, to: Sheet): void {
  const n = values.length;
  to.same(`sizes, ${of}`, [n], [want.shape.reduce((a, b) => a * b, 1)]);
  const ours = moments(values);
  const share = want.fraction_beyond_2_std;
  const inErrors = (quantity: string, difference: number, error: number): void =>
    to.near(`${quantity} in standard errors, ${of}`, [difference === 0 ? 0 : difference / error], [0], STANDARD_ERRORS);
  inErrors('means', ours.mean - want.mean, want.std * Math.sqrt(2 / n));
  inErrors('standard deviations', ours.std - want.std, want.std * Math.sqrt(1 / n));
  inErrors('shares beyond two deviations', ours.beyond - share, Math.sqrt((2 * share * (1 - share)) / n));
  const perExpert = want.per_expert_std ?? [];
  const size = n / Math.max(1, perExpert.length);
  perExpert.forEach((std, e) => {
    const expert = moments(values.subarray(e * size, (e + 1) * size));
    inErrors('standard deviations of experts', expert.std - std, std * Math.sqrt(1 / size));
  });
}

function moments(x: Float32Array): { mean: number; std: number; beyond: number } {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const std = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length);
  return { mean, std, beyond: x.reduce((n, v) => n + Number(Math.abs(v - mean) > 2 * std), 0) / x.length };
}
