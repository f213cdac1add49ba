/** Padding, groups and capacities of many batch shapes: `geometry.json`. */
import { type FixtureFolder, readJson } from './reading.ts';
import type { Fixture, Sheet } from './row.ts';
import { capacityOf, type CapacityConfig, groupCount, OPENMOE_DEFAULTS, referencePadding } from './vocabulary.ts';

type Integers<K extends string> = Readonly<Record<K, number>>;
interface Geometry {
  readonly layers: readonly Integers<
    | 'rows'
    | 'length'
    | 'experts'
    | 'group_size'
    | 'num_groups'
    | 'tokens_per_group'
    | 'capacity_train'
    | 'capacity_eval'
    | 'padded_rows'
    | 'padded_length'
  >[];
  readonly groups_with_replicas: readonly Integers<'tokens' | 'group_size' | 'experts' | 'replicas' | 'num_groups'>[];
}

export const geometryFixture = (folder: FixtureFolder): Fixture => ({
  name: 'geometry',
  files: ['geometry.json'],
  run: async (to) => checkGeometry(await readJson<Geometry>(folder, 'geometry.json'), to),
});

const configOf = ({ experts, group_size: groupSize }: Integers<'experts' | 'group_size'>): CapacityConfig => ({
  ...OPENMOE_DEFAULTS,
  experts,
  groupSize,
  referenceGroups: true,
});

function checkGeometry(want: Geometry, to: Sheet): void {
  for (const l of want.layers) {
    const c = configOf(l);
    const zeros = referencePadding(l.rows, l.length, c);
    const [rows, length] = [l.rows + zeros.rows, l.length + zeros.columns];
    to.same('padding', [rows, length], [l.padded_rows, l.padded_length]);
    const groups = groupCount(rows * length, c);
    const group = (rows * length) / groups;
    to.same('groups', [groups, group], [l.num_groups, l.tokens_per_group]);
    to.same('capacities', [capacityOf(group, 'train', c), capacityOf(group, 'eval', c)], [l.capacity_train, l.capacity_eval]);
  }
  for (const g of want.groups_with_replicas)
    to.same('groups with replicas', [groupCount(g.tokens, configOf(g), g.replicas)], [g.num_groups]);
}
