/** Common subexpressions are made once, and each op may offer a cheaper equal form of itself. */
import { apply, rulesOf, type AnyOp, type Node, type Signature, type Tensor, type Tensors } from '../ops/index.ts';
import { reachable } from './walk.ts';

/** The same values from fewer nodes: the simplified tensor of each root, in order. */
export function simplify(roots: readonly Tensor[]): Tensor[] {
  const made = new Map<Tensor, Tensor>();
  const known = new Map<string, readonly Tensor[]>();
  const names = new Map<Tensor, number>();
  const nameOf = (t: Tensor): number => names.get(t) ?? (names.set(t, names.size), names.size - 1);
  const build = (op: AnyOp, inputs: readonly Tensor[], attrs: Node['attrs']): readonly Tensor[] => {
    const key = `${op.op}(${inputs.map(nameOf)})${JSON.stringify(attrs)}`;
    const before = known.get(key);
    if (before) return before;
    const outputs = rewrite(op, inputs, attrs) ?? apply(op, inputs, attrs);
    known.set(key, outputs);
    return outputs;
  };
  for (const node of reachable(roots)) {
    const outputs = build(
      node.op,
      node.inputs.map((t) => made.get(t) ?? t),
      node.attrs,
    );
    node.outputs.forEach((t, i) => made.set(t, outputs[i]!));
  }
  return roots.map((t) => made.get(t) ?? t);
}

function rewrite(op: AnyOp, inputs: readonly Tensor[], attrs: Node['attrs']): readonly Tensor[] | undefined {
  const x = Object.fromEntries(op.inputs.map((k, i) => [k, inputs[i]!])) as Tensors<Signature>;
  const y = rulesOf(op.op).simplify?.(x, attrs);
  return y && op.outputs.map((k) => y[k]!);
}
