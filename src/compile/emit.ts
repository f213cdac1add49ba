/** Graph → program: names values, orders instructions, and lets what overwrites an argument wait for the argument's last reader. */
import { invariant } from '../base/index.ts';
import type { Node, Tensor } from '../ops/index.ts';
import type { Argument, Instruction, Program, Result } from './program.ts';
import { reachable } from './walk.ts';

export interface Root {
  readonly name: string;
  readonly tensor: Tensor;
  /** Name of the argument that this result overwrites. */
  readonly updates?: string;
}

export function emit(name: string, args: readonly Tensor[], roots: readonly Root[]): Program {
  const nodes = reachable(roots.map((r) => r.tensor));
  const used = new Set<Tensor>([...nodes.flatMap((n) => n.inputs), ...roots.map((r) => r.tensor)]);
  const ids = new Map<Tensor, string>(args.map((t, i) => [t, `a${i}`]));
  const code: Instruction[] = schedule(nodes, roots, args).map((node) => ({
    op: node.op.op,
    in: node.inputs.map((t) => idOf(t, ids)),
    out: node.outputs.map((t) => {
      if (!used.has(t)) return undefined;
      ids.set(t, `v${ids.size - args.length}`);
      return { id: ids.get(t)!, dtype: t.dtype, shape: t.shape };
    }),
    attrs: node.attrs,
  }));
  const list: Argument[] = args.map(({ name: n, dtype, shape, role }, i) => ({ id: `a${i}`, name: n!, dtype, shape, role: role! }));
  const results: Result[] = roots.map((r) => ({
    name: r.name,
    value: idOf(r.tensor, ids),
    ...(r.updates !== undefined && { updates: r.updates }),
  }));
  return { name, arguments: list, code, results };
}

function idOf(t: Tensor, ids: ReadonlyMap<Tensor, string>): string {
  const id = ids.get(t);
  invariant(id !== undefined, `a program reads ${t.node ? t.node.op.op : `argument ${t.name}`}, which it was not given`);
  return id;
}

/** The memory that a value lives in, seen through reshapes. */
const memoryOf = (t: Tensor): Tensor => (t.node?.op.definition.view ? memoryOf(t.node.inputs[0]!) : t);

/** Order of creation, except that a node that overwrites an argument waits for its other readers and then goes first. */
function schedule(nodes: readonly Node[], roots: readonly Root[], args: readonly Tensor[]): Node[] {
  const overwritten = new Set(roots.flatMap((r) => args.find((a) => a.name === r.updates) ?? []));
  const readers = new Map<Tensor, Node[]>();
  for (const node of nodes)
    for (const t of new Set(node.inputs.map(memoryOf))) if (overwritten.has(t)) readers.set(t, [...(readers.get(t) ?? []), node]);

  const waits = new Map<Node, Set<Node>>();
  const releases = new Map<Node, Node[]>();
  const overwrites = new Set<Node>();
  for (const node of nodes) {
    const before = new Set(node.inputs.flatMap((t) => t.node ?? []));
    for (const operand of Object.values(node.op.definition.updates ?? {})) {
      const target = memoryOf(node.inputs[node.op.inputs.indexOf(operand)]!);
      if (!overwritten.has(target)) continue;
      overwrites.add(node);
      for (const reader of readers.get(target)!) if (reader !== node) before.add(reader);
    }
    waits.set(node, before);
    for (const other of before) releases.set(other, [...(releases.get(other) ?? []), node]);
  }
  return inOrder(nodes, { waits, releases, first: overwrites });
}

interface Waiting {
  readonly waits: ReadonlyMap<Node, Set<Node>>;
  readonly releases: ReadonlyMap<Node, readonly Node[]>;
  readonly first: ReadonlySet<Node>;
}
function inOrder(nodes: readonly Node[], { waits, releases, first }: Waiting): Node[] {
  const order: Node[] = [];
  const ready = nodes.filter((n) => waits.get(n)!.size === 0);
  while (ready.length > 0) {
    const node = ready.splice(next(ready, first), 1)[0]!;
    order.push(node);
    for (const other of releases.get(node) ?? []) if (waits.get(other)!.delete(node) && waits.get(other)!.size === 0) ready.push(other);
  }
  invariant(order.length === nodes.length, 'two values overwrite the same argument, or read it after it changed');
  return order;
}
/** Place of the node to run next: one that overwrites, else the one made earliest. */
function next(ready: readonly Node[], first: ReadonlySet<Node>): number {
  let best = 0;
  ready.forEach((node, i) => {
    const [mine, theirs] = [first.has(node), first.has(ready[best]!)];
    if (mine !== theirs ? mine : node.serial < ready[best]!.serial) best = i;
  });
  return best;
}
