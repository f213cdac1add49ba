/** The PyTorch router alone on explicit logits, with exact ties, overflow and underflow.   T tokens, E experts. */
import { type FixtureFolder, readJson } from './reading.ts';
import { routerProgram } from './router.ts';
import { ALLOWED, type Fixture, type Sheet } from './row.ts';
import { evaluate, routed } from './running.ts';
import { capacityOf, type Executor, type Mode, OPENMOE_DEFAULTS } from './vocabulary.ts';

interface Decided {
  readonly capacity: number;
  readonly top2: readonly (readonly number[])[];
  readonly slot: readonly (readonly number[])[];
  readonly kept: readonly (readonly number[])[];
  readonly used_capacity: readonly number[];
  readonly combine_weights: readonly (readonly number[])[];
  readonly aux_loss: number;
  readonly router_z_loss: number;
}
export type RouterFile = Readonly<Record<string, { readonly logits: readonly (readonly number[])[] } & Readonly<Record<Mode, Decided>>>>;

const MODES = ['train', 'eval'] as const satisfies readonly Mode[];

export async function torchRouterFixtures(folder: FixtureFolder, stem: string, executor: Executor): Promise<Fixture[]> {
  const cases = await readJson<RouterFile>(folder, `${stem}.json`);
  return Object.entries(cases).flatMap(([name, { logits, ...modes }]) =>
    MODES.map((mode): Fixture => ({
      name: `${stem} ${name} ${mode}`,
      files: [`${stem}.json`],
      run: (to) => check(executor, { logits, mode, want: modes[mode] }, to),
    })),
  );
}

interface Asked {
  readonly logits: readonly (readonly number[])[];
  readonly mode: Mode;
  readonly want: Decided;
}

async function check(executor: Executor, { logits, mode, want }: Asked, to: Sheet): Promise<void> {
  const [tokens, experts, topK] = [logits.length, logits[0]!.length, want.top2[0]!.length];
  const capacity = capacityOf(tokens, mode, { ...OPENMOE_DEFAULTS, experts, topK, dialect: 'torch' });
  to.same('capacity', [capacity], [want.capacity]);
  const program = routerProgram({ tokens, experts, groups: 1, capacity, topK });
  const got = await evaluate(executor, program, { logits: Float32Array.from(logits.flat()) });
  const { chosen, slot, kept, weight } = routed(Object.fromEntries(Object.entries(got).map(([k, v]) => [`layers.0.router.${k}`, v])), 0);
  to.same('choices', chosen, want.top2.flat());
  to.same('slots', slot, want.slot.flat());
  to.same('kept', kept, want.kept.flat());
  const used = Array.from({ length: experts }, (_, e) => kept.filter((k, i) => k && chosen[i] === e).length);
  to.same('used capacity', used, want.used_capacity);
  to.near('combine weights', weight, want.combine_weights.flat(), ALLOWED.probabilities);
  to.near('balance loss', got['balanceLoss']!, [want.aux_loss], ALLOWED.lossPart);
  to.near('router z-loss', got['routerZ']!, [want.router_z_loss], ALLOWED.lossPart);
}
