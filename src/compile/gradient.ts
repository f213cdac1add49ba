/** Reverse-mode gradients, graph to graph: each op's rule is written with other ops. */
import { add, cast, full, rulesOf, type Node, type Tensor, type Tensors, type Signature } from '../ops/index.ts';
import { recomputation, type Values } from './recompute.ts';
import { reachable } from './walk.ts';

export interface GradientOptions {
  /** Scopes whose values are not kept for the backward pass but made again in it; each match is one segment. */
  readonly recompute?: RegExp;
}

/** d loss ÷ d wrt, in the order of `wrt`; zeros where loss does not depend on it. Throws TypeError when loss is not a scalar. */
export function gradient(loss: Tensor, wrt: readonly Tensor[], { recompute }: GradientOptions = {}): Tensor[] {
  if (loss.shape.length !== 0) throw new TypeError(`gradient: loss must be a scalar, got [${loss.shape}]`);
  const nodes = reachable([loss]);
  const matters = dependents(nodes, wrt);
  const cotangent = new Map<Tensor, Tensor>([[loss, full([], 1)]]);
  const again = recompute && recomputation(nodes, recompute);
  for (const node of nodes.toReversed()) {
    if (!matters.has(node)) continue;
    for (const [input, dx] of vjp(node, cotangent, again)) {
      if (input.node ? !matters.has(input.node) : !wrt.includes(input)) continue;
      const before = cotangent.get(input);
      cotangent.set(input, before ? add(cast(before, 'f32'), cast(dx, 'f32')) : dx);
    }
  }
  return wrt.map((x) => cotangent.get(x) ?? full(x.shape, 0));
}

/** Nodes whose value depends on one of `wrt`. */
function dependents(nodes: readonly Node[], wrt: readonly Tensor[]): Set<Node> {
  const sources = new Set(wrt);
  const found = new Set<Node>();
  for (const node of nodes) if (node.inputs.some((x) => sources.has(x) || (x.node && found.has(x.node)))) found.add(node);
  return found;
}

function vjp(node: Node, cotangent: ReadonlyMap<Tensor, Tensor>, again?: (node: Node, after: Tensor) => Values): [Tensor, Tensor][] {
  const { op, outputs: made, attrs } = node;
  const dy = Object.fromEntries(op.outputs.flatMap((k, i) => (cotangent.has(made[i]!) ? [[k, cotangent.get(made[i]!)!]] : [])));
  const rule = rulesOf(op.op).vjp;
  const [after] = Object.values(dy);
  if (!rule || !after) return [];
  const { inputs, outputs } = again?.(node, after) ?? node;
  const x = Object.fromEntries(op.inputs.map((k, i) => [k, inputs[i]!])) as Tensors<Signature>;
  const y = Object.fromEntries(op.outputs.map((k, i) => [k, outputs[i]!])) as Tensors<Signature>;
  const dx = rule(x, dy, y, attrs);
  return op.inputs.flatMap((k, i) => (dx[k] ? [[node.inputs[i]!, dx[k]] as [Tensor, Tensor]] : []));
}
