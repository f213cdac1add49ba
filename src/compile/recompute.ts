/** Activation recomputation: the backward pass reads copies of a segment's nodes, rebuilt from the segment's inputs (Chen et al., arXiv 1604.06174). */
import { apply, barrier, type Node, type Tensor } from '../ops/index.ts';

/** What a gradient rule reads of a node. */
export type Values = Pick<Node, 'inputs' | 'outputs'>;

/**
 * For each node in a scope that `segment` matches, a copy of it; other nodes stand for themselves. A segment's copies are made when the first
 * of them is asked for, all at once and in order, and their inputs from outside wait `after` the gradient that arrived by then: so they
 * neither merge with the originals nor run early. What nobody reads of them is dead code.
 */
export function recomputation(nodes: readonly Node[], segment: RegExp): (node: Node, after: Tensor) => Values {
  const members = new Map<string, Node[]>();
  for (const node of nodes) {
    const name = segmentOf(node, segment);
    if (name !== undefined) members.set(name, [...(members.get(name) ?? []), node]);
  }
  const copies = new Map<string, ReadonlyMap<Node, Values>>();
  return (node, after) => {
    const name = segmentOf(node, segment);
    if (name === undefined) return node;
    if (!copies.has(name)) copies.set(name, copied(members.get(name)!, after));
    return copies.get(name)!.get(node)!;
  };
}

/** `micro.0.layers.3` of `micro.0.layers.3.attention`, for a pattern that matches `layers.3`. */
function segmentOf({ scope }: Node, segment: RegExp): string | undefined {
  const found = segment.exec(scope);
  return found ? scope.slice(0, found.index + found[0].length) : undefined;
}

function copied(members: readonly Node[], after: Tensor): ReadonlyMap<Node, Values> {
  const inside = new Map<Tensor, Tensor>();
  const copies = new Map<Node, Values>();
  for (const node of members) {
    const inputs = node.inputs.map((t) => inside.get(t) ?? (t.node ? barrier(t, after) : t));
    const outputs = apply(node.op, inputs, node.attrs);
    node.outputs.forEach((t, i) => inside.set(t, outputs[i]!));
    copies.set(node, { inputs, outputs });
  }
  return copies;
}
