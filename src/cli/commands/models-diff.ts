/** openmoe models diff: the largest differences between two checkpoints, tensor by tensor, whatever their formats and names. */
import { EXIT, formatCount, inColumns, type Problem, UserError } from '../../base/index.ts';
import { differences, type NamedSource, type TensorDifference } from '../../checkpoints/index.ts';
import { openProgress } from '../byte-progress.ts';
import { type Answer, command, required } from '../command.ts';
import { MODEL } from '../model-reference.ts';
import { openModel } from '../opened-model.ts';

const SHOWN = 20;

export const diff = command({
  about: 'Compares two checkpoints of any formats and names: the largest absolute and relative difference of each tensor',
  examples: ['models diff openmoe-8b openmoe-8b-bf16', 'models diff last@100 last@200', 'models diff a b --json'],
  args: { a: required(MODEL), b: required('the other') },
  saves: true,
  async run({ args, terminal, signal }): Promise<Answer> {
    const a = await openModel(args.a, terminal);
    const b = await openModel(args.b, terminal);
    const progress = openProgress(terminal, formatCount);
    try {
      // Without a config beside one of them, both are taken as they are stored.
      const [x, y] = a.checkpoint && b.checkpoint ? [a.tensors(), b.tensors()] : [a.stored(), b.stored()];
      refuseOthers(x, y, { a: a.found.place, b: b.found.place });
      const rows: TensorDifference[] = [];
      for await (const row of differences(x, y, { signal, onProgress: progress.show })) rows.push(row);
      progress.close();
      const largest = (of: 'maxAbs' | 'maxRel'): number => rows.reduce((n, r) => Math.max(n, r[of]), 0);
      const data = {
        a: a.found.place,
        b: b.found.place,
        equal: rows.every((r) => r.differ === 0),
        max_abs: finite(largest('maxAbs')),
        max_rel: finite(largest('maxRel')),
        tensors: rows.map((r) => ({
          name: r.name,
          elements: r.elements,
          differ: r.differ,
          max_abs: finite(r.maxAbs),
          max_rel: finite(r.maxRel),
        })),
      };
      return { schema: 'openmoe.models-diff/1', data, text: text(rows) };
    } finally {
      progress.close();
      await a.files.close();
      await b.files.close();
    }
  },
});

/** JSON has no infinity. */
const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);

/** Throws UserError E_MODELS_DIFFER (usage) unless both have the same names and shapes. */
function refuseOthers(x: readonly NamedSource[], y: readonly NamedSource[], { a, b }: { a: string; b: string }): void {
  const shapes = (list: readonly NamedSource[]) => new Map(list.map((t) => [t.name, `[${t.source.shape.join(',')}]`]));
  const [left, right] = [shapes(x), shapes(y)];
  const problems: Problem[] = [
    ...[...left].filter(([name]) => !right.has(name)).map(([name]) => ({ message: `${name} is not in the other`, place: a })),
    ...[...right].filter(([name]) => !left.has(name)).map(([name]) => ({ message: `${name} is not in the other`, place: b })),
    ...[...left]
      .filter(([name, shape]) => right.has(name) && right.get(name) !== shape)
      .map(([name, shape]) => ({ message: `${name} is ${shape} and ${right.get(name)}`, place: `${a}, ${b}` })),
  ];
  if (problems.length > 0) throw new UserError('E_MODELS_DIFFER', EXIT.usage, problems);
}

function text(rows: readonly TensorDifference[]): string {
  const other = rows.filter((r) => r.differ > 0).sort((a, b) => b.maxAbs - a.maxAbs || b.differ - a.differ);
  if (other.length === 0) return `equal: all ${rows.length} tensors\n`;
  const lines = other
    .slice(0, SHOWN)
    .map((r) => [r.name, `${r.differ} of ${r.elements}`, r.maxAbs.toExponential(3), r.maxRel.toExponential(3)]);
  const more = other.length > SHOWN ? `and ${other.length - SHOWN} more; --json shows all\n` : '';
  return `${other.length} of ${rows.length} tensors differ\n${inColumns([['tensor', 'elements that differ', 'largest', 'relative'], ...lines], { right: [1, 2, 3] })}${more}`;
}
