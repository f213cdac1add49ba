/** Walks over graphs. */
import type { Node, Tensor } from '../ops/index.ts';

/** The nodes that `roots` need, each after the nodes that it needs: order of creation. */
export function reachable(roots: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = roots.flatMap((t) => t.node ?? []);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (input.node) stack.push(input.node);
  }
  return [...seen].sort((a, b) => a.serial - b.serial);
}
